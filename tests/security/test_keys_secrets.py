"""Keys: what is kept of them, what they open, what a refusal tells."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.errors import IdentityError
from muxi_runtime.identity.keys import KeyRefusedError, KeyStore, Refusal
from muxi_runtime.identity.principal import Principal
from muxi_runtime.store.engine import database_path, open_store


@pytest.fixture
def engine(tmp_path):
    engine = open_store(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def keys(engine):
    return KeyStore(engine)


def execute(home, sql, *values):
    with sqlite3.connect(database_path(home)) as connection:
        connection.execute(sql, values)
    connection.close()


def refusal_of(keys, token):
    with pytest.raises(KeyRefusedError) as caught:
        keys.authenticate(token)
    return caught.value


def test_a_key_opens_for_its_user(keys):
    record, token = keys.create("ada", name="laptop")
    other, _ = keys.create("ada")
    assert keys.authenticate(token) == Principal(user="ada", key=record.id)
    assert [found.id for found in keys.list()] == [record.id, other.id]
    assert token.startswith(f"muxi_{record.id}_")


@pytest.mark.promise("keys-are-hashed")
def test_the_secret_is_in_no_file_and_no_record(tmp_path, keys):
    record, token = keys.create("ada")
    keys.authenticate(token)
    secret = token.rsplit("_", 1)[1]
    contents = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert record.id.encode() in contents
    assert secret.encode() not in contents
    assert secret not in repr(keys.list())


@pytest.mark.promise("keys-refusals-tell-nothing")
def test_an_unknown_key_and_a_wrong_secret_look_alike_to_the_caller(keys):
    record, token = keys.create("ada")
    wrong = refusal_of(keys, f"muxi_{record.id}_{'0' * 64}")
    unknown = refusal_of(keys, f"muxi_aaaaaaaaaaaa_{token.rsplit('_', 1)[1]}")
    assert str(wrong) == str(unknown)
    assert (wrong.refusal, unknown.refusal) == (Refusal.WRONG_SECRET, Refusal.UNKNOWN)


@pytest.mark.promise("keys-refusals-tell-nothing")
def test_that_a_key_is_revoked_is_told_only_to_one_who_has_its_secret(keys):
    record, token = keys.create("ada")
    keys.revoke(record.id)
    assert refusal_of(keys, token).refusal is Refusal.REVOKED
    guess = refusal_of(keys, f"muxi_{record.id}_{'0' * 64}")
    assert guess.refusal is Refusal.WRONG_SECRET
    assert record.id not in str(guess)


@pytest.mark.promise("keys-refusals-tell-nothing")
@given(token=st.text(st.characters(codec=None), max_size=100) | st.from_regex(r"muxi_[a-z0-9]*_[0-9a-fA-F]*\n?"))
def test_no_text_but_a_key_opens_anything_and_none_comes_back_in_the_message(tmp_path_factory, token):
    engine = open_store(tmp_path_factory.getbasetemp() / "keys-home")
    error = refusal_of(KeyStore(engine), token)
    engine.dispose()
    assert len(token) < 8 or token not in str(error)


@pytest.mark.promise("keys-are-revoked-at-once")
def test_a_key_revoked_by_another_process_is_refused_from_the_next_request_on(tmp_path, keys):
    record, token = keys.create("ada")
    _, other = keys.create("ada")
    keys.authenticate(token)
    program = "import sys; from muxi_runtime.cli.main import main; main()"
    arguments = ["--home", str(tmp_path), "keys", "revoke", record.id]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=50, capture_output=True)
    assert refusal_of(keys, token).refusal is Refusal.REVOKED
    assert keys.authenticate(other).user == "ada"


@pytest.mark.promise("keys-expire")
def test_an_expired_key_is_refused(tmp_path, keys):
    record, token = keys.create("ada", expires_at=datetime.now(UTC) + timedelta(hours=1))
    keys.authenticate(token)
    execute(tmp_path, "UPDATE keys SET expires_at = '2020-01-01T00:00:00.000000Z' WHERE id = ?", record.id)
    error = refusal_of(keys, token)
    assert (error.refusal, error.key) == (Refusal.EXPIRED, record.id)
    assert keys.list()[0].state() == "expired"


def test_revoking_twice_keeps_the_first_time_and_an_unknown_key_is_an_error(keys):
    record, _ = keys.create("ada")
    first = keys.revoke(record.id)
    assert keys.revoke(record.id) == first
    with pytest.raises(IdentityError, match="keys list"):
        keys.revoke("nope")


@pytest.mark.parametrize("user", ["", "a/b", "a b", "-a", "a" * 65, "ä", "a\n", "muxi\x1b"])
def test_a_name_that_could_be_mistaken_is_no_user(keys, user):
    with pytest.raises(ValueError, match="cannot be a user's name"):
        keys.create(user)
    assert keys.list() == ()


@pytest.mark.parametrize("expires_at", [datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1)])  # noqa: DTZ001 - refused
def test_an_expiry_in_the_past_or_without_a_zone_is_refused(keys, expires_at):
    with pytest.raises(ValueError, match="expiry"):
        keys.create("ada", expires_at=expires_at)


def test_the_last_use_is_written_at_most_once_a_minute(tmp_path, keys):
    record, token = keys.create("ada")
    assert keys.list()[0].last_used_at is None
    keys.authenticate(token)
    first = keys.list()[0].last_used_at
    keys.authenticate(token)
    assert first is not None
    assert keys.list()[0].last_used_at == first
    execute(tmp_path, "UPDATE keys SET last_used_at = '2020-01-01T00:00:00.000000Z' WHERE id = ?", record.id)
    keys.authenticate(token)
    assert keys.list()[0].last_used_at > first


def test_a_good_key_opens_while_another_process_holds_the_database(tmp_path, keys):
    _, token = keys.create("ada")
    holder = sqlite3.connect(database_path(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert keys.authenticate(token).user == "ada"
    finally:
        holder.close()
    assert keys.list()[0].last_used_at is None
