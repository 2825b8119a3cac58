"""A key that was good a moment ago is looked at again with each request, whoever changed what about it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from muxi_runtime.identity import known_keys
from muxi_runtime.identity.keys import KeyRefusedError, KeyStore, Refusal
from muxi_runtime.identity.known_keys import KnownKeys
from muxi_runtime.identity.principal import Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.store.times import utc_text

Change = Callable[[Path, str], None]


def nothing() -> None:
    """Happens in between."""


class Counting(KeyStore):
    """Counts how often it is asked; something may happen right before."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.asked = 0
        self.before: Callable[[], None] = nothing

    def authenticate(self, token: str) -> Principal:
        self.asked += 1
        self.before()
        return super().authenticate(token)


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Counting]:
    engine = open_store(tmp_path)
    yield Counting(engine)
    engine.dispose()


@pytest.fixture
async def known(tmp_path: Path, keys: Counting) -> AsyncIterator[KnownKeys]:
    async with KnownKeys(keys, database_path(tmp_path)) as opened:
        yield opened


def execute(home: Path, statement: str, *values: object) -> None:
    """As another process does it."""
    connection = sqlite3.connect(database_path(home), timeout=20)
    with connection:
        connection.execute(statement, values)
    connection.close()


async def test_a_key_is_looked_for_once_and_is_the_same_from_then_on(keys: Counting, known: KnownKeys) -> None:
    record, token = keys.create("ada", scopes=["call"])
    found = [await known.authenticate(token) for _ in range(4)]
    assert {(one.user, one.key, one.scopes) for one in found} == {("ada", record.id, frozenset({"call"}))}
    assert keys.asked == 1


SETS = {
    "revoked": ("UPDATE keys SET revoked_at = '2026-01-01T00:00:00.000000Z'", Refusal.REVOKED),
    "expired": ("UPDATE keys SET expires_at = '2020-01-01T00:00:00.000000Z'", Refusal.EXPIRED),
    "replaced": ("UPDATE keys SET digest = '1111111111111111'", Refusal.WRONG_SECRET),
    "removed": ("DELETE FROM keys", Refusal.UNKNOWN),
    "user disabled": ("UPDATE users SET state = 'disabled'", Refusal.USER),
}


@pytest.mark.promise("keys-are-revoked-at-once")
@pytest.mark.parametrize(("statement", "refusal"), SETS.values(), ids=SETS)
async def test_what_another_process_takes_away_is_gone_with_the_next_request(
    tmp_path: Path, keys: Counting, known: KnownKeys, statement: str, refusal: Refusal
) -> None:
    _, token = keys.create("ada")
    for _ in range(3):
        await known.authenticate(token)
    execute(tmp_path, statement)
    for _ in range(2):
        with pytest.raises(KeyRefusedError) as refused:
            await known.authenticate(token)
        assert refused.value.refusal is refusal


async def test_a_role_groups_and_scopes_are_those_of_now(tmp_path: Path, keys: Counting, known: KnownKeys) -> None:
    _, token = keys.create("ada")
    for _ in range(2):
        assert (await known.authenticate(token)).role is Role.USER
    execute(tmp_path, "UPDATE users SET role = 'auditor', \"groups\" = 'staff'")
    execute(tmp_path, "UPDATE keys SET scopes = 'read'")
    for _ in range(2):
        now = await known.authenticate(token)
        assert (now.role, now.groups, now.scopes) == (Role.AUDITOR, {"staff"}, {"read"})


THERE_AND_BACK = {
    "role": ("UPDATE users SET role = 'owner'", "UPDATE users SET role = 'user'"),
    "groups": ("UPDATE users SET \"groups\" = 'staff'", "UPDATE users SET \"groups\" = ''"),
    "scopes": ("UPDATE keys SET scopes = 'call read'", "UPDATE keys SET scopes = 'call'"),
}


@pytest.mark.promise("keys-are-revoked-at-once")
@pytest.mark.parametrize(("there", "back"), THERE_AND_BACK.values(), ids=THERE_AND_BACK)
async def test_what_was_changed_while_a_key_was_looked_for_is_not_kept_when_it_is_changed_back(
    tmp_path: Path, keys: Counting, known: KnownKeys, there: str, back: str
) -> None:
    _, token = keys.create("ada", scopes=["call"])
    before = await KnownKeys(keys, database_path(tmp_path)).authenticate(token)
    keys.before = lambda: execute(tmp_path, there)
    assert facts(await known.authenticate(token)) != facts(before)
    keys.before = nothing
    execute(tmp_path, back)
    assert facts(await known.authenticate(token)) == facts(before)


@pytest.mark.promise("keys-are-revoked-at-once")
async def test_a_user_who_was_enabled_while_a_key_was_looked_for_is_refused_when_disabled_again(
    tmp_path: Path, keys: Counting, known: KnownKeys
) -> None:
    _, token = keys.create("ada")
    execute(tmp_path, "UPDATE users SET state = 'disabled'")
    keys.before = lambda: execute(tmp_path, "UPDATE users SET state = 'active'")
    assert (await known.authenticate(token)).user == "ada"
    keys.before = nothing
    execute(tmp_path, "UPDATE users SET state = 'disabled'")
    with pytest.raises(KeyRefusedError):
        await known.authenticate(token)


def facts(principal: Principal) -> tuple[object, ...]:
    return principal.role, principal.groups, principal.scopes


@pytest.mark.promise("keys-expire")
async def test_a_key_that_expires_by_the_clock_alone_is_asked_about_again(tmp_path: Path, keys: Counting) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    _, token = keys.create("ada", expires_at=expires_at)
    clock = [utc_text()]
    async with KnownKeys(keys, database_path(tmp_path), now=lambda: clock[0]) as known:
        for _ in range(2):
            await known.authenticate(token)
        assert keys.asked == 1
        clock[0] = utc_text(expires_at)
        await known.authenticate(token)
    assert keys.asked == 2


@pytest.mark.parametrize("token", ["", "muxi_", "\ud800", "muxi_aaaaaaaaaaaa_" + "0" * 64, "x" * 100_000])
async def test_what_is_no_key_is_refused_and_not_kept(keys: Counting, known: KnownKeys, token: str) -> None:
    for _ in range(2):
        with pytest.raises(KeyRefusedError):
            await known.authenticate(token)
    assert keys.asked == 2


async def test_a_right_id_with_a_wrong_secret_is_nobody_s(keys: Counting, known: KnownKeys) -> None:
    record, token = keys.create("ada")
    await known.authenticate(token)
    with pytest.raises(KeyRefusedError):
        await known.authenticate(f"muxi_{record.id}_{'0' * 64}")
    assert (await known.authenticate(token)).key == record.id


async def test_where_the_row_cannot_be_read_at_once_nothing_is_taken_for_known(tmp_path: Path, keys: Counting) -> None:
    _, token = keys.create("ada")
    async with KnownKeys(keys, tmp_path / "nowhere.db") as known:
        for _ in range(3):
            assert (await known.authenticate(token)).user == "ada"
    assert keys.asked == 3


async def test_tokens_that_are_kept_are_bounded(
    keys: Counting, known: KnownKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "MOST", 2)
    tokens = [keys.create("ada")[1] for _ in range(5)]
    for token in tokens * 2:
        assert (await known.authenticate(token)).user == "ada"
    assert 5 <= keys.asked <= 10


async def test_reading_a_key_holds_no_state_of_the_database(tmp_path: Path, keys: Counting, known: KnownKeys) -> None:
    """Else the log beside it could not be emptied."""
    _, token = keys.create("ada")
    for _ in range(2):
        await known.authenticate(token)
    connection = sqlite3.connect(database_path(tmp_path), timeout=20)
    connection.execute("UPDATE keys SET name = 'x'")
    connection.commit()
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.close()
    assert busy == 0
