"""Appends that are written at once, and those that have to wait."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from muxi_runtime.errors import JournalError
from muxi_runtime.journal import sqlite
from muxi_runtime.journal.anchor import AnchorFile, anchor_path
from muxi_runtime.journal.contract import Draft, Event
from muxi_runtime.journal.listeners import Listeners
from muxi_runtime.journal.read import tail
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.journal.verify import verify
from muxi_runtime.journal.writer import ChainWriter
from muxi_runtime.store.engine import database_path, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    open_store(tmp_path).dispose()
    return database_path(tmp_path)


def drafts(number: int) -> list[Draft]:
    return [Draft("call.decided", call=f"c-{at}") for at in range(number)]


def test_an_append_that_would_have_to_wait_is_not_made(path: Path) -> None:
    writer = ChainWriter(path, JournalSettings())
    writer.open()
    assert [event.seq for event in writer.append_now(drafts(2)) or ()] == [1, 2]
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert writer.append_now(drafts(1)) is None
        other.execute("ROLLBACK")
    assert [event.seq for event in writer.append(drafts(1))] == [3]
    assert [event.seq for event in writer.append_now(drafts(1)) or ()] == [4]
    writer.close()


def test_a_full_sync_never_goes_past_the_disk(path: Path) -> None:
    writer = ChainWriter(path, JournalSettings(sync="full"))
    writer.open()
    assert writer.append_now(drafts(1)) is None
    writer.close()


def test_one_that_is_not_open_waits_for_its_opening(path: Path) -> None:
    assert ChainWriter(path, JournalSettings()).append_now(drafts(1)) is None


async def test_events_wait_for_another_process_while_the_event_loop_goes_on(path: Path) -> None:
    held = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    done = anyio.Event()

    async def append(journal: SqliteJournal) -> None:
        await journal.append(drafts(1)[0])
        done.set()

    async with SqliteJournal(path) as journal, anyio.create_task_group() as group:
        await journal.append(drafts(1)[0])
        held.execute("BEGIN IMMEDIATE")
        group.start_soon(append, journal)
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set()
        held.execute("ROLLBACK")
        with anyio.fail_after(20):
            await done.wait()
    held.close()


async def test_events_of_many_tasks_are_one_chain_whoever_writes_them(path: Path) -> None:
    async with SqliteJournal(path) as journal, journal.listen() as events, anyio.create_task_group() as group:

        async def append(name: int) -> None:
            for number in range(30):
                await journal.append(Draft("call.decided", call=f"c-{name}-{number}"))
                if number % 7 == name % 7:
                    await to_thread.run_sync(hold_for_a_moment, path)

        for name in range(8):
            group.start_soon(append, name)
        seen = []
        async for event in events:
            seen.append(event.seq)
            if len(seen) == 240:
                break
    assert seen == list(range(1, 241))


def hold_for_a_moment(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA busy_timeout = 10000")
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()


async def test_the_log_beside_the_database_stays_bounded(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    sizes = []
    async with SqliteJournal(path) as journal:
        for _ in range(12):
            for draft in drafts(1000):
                await journal.append(draft)
            sizes.append(log.stat().st_size)
    # It starts anew each third time or so: nobody appends then.
    assert max(sizes) < 6 * sizes[0]


async def test_what_was_written_at_once_is_there_and_sound(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        for draft in drafts(50):
            await journal.append(draft)
    engine = open_store(path.parent)
    assert [event.call for event in tail(engine, 50)] == [f"c-{at}" for at in range(50)]
    report = verify(engine, AnchorFile(anchor_path(path)))
    engine.dispose()
    assert (report.events, report.ok) == (50, True)


async def test_what_is_appended_at_the_same_time_is_one_commit(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        before = commits(path)
        async with anyio.create_task_group() as group:
            for draft in drafts(20):
                group.start_soon(journal.append, draft)
        assert commits(path) - before < 3
    engine = open_store(path.parent)
    assert [event.seq for event in tail(engine, 50)] == list(range(1, 21))
    engine.dispose()


async def test_one_that_gives_up_leaves_the_others_theirs(path: Path) -> None:
    scope = anyio.CancelScope()

    async def give_up(journal: SqliteJournal) -> None:
        with scope:
            await journal.append(drafts(1)[0])

    async def cancel() -> None:
        scope.cancel()

    async with SqliteJournal(path) as journal, anyio.create_task_group() as group:
        group.start_soon(give_up, journal)
        for draft in drafts(5):
            group.start_soon(journal.append, draft)
        group.start_soon(cancel)
    engine = open_store(path.parent)
    assert verify(engine, AnchorFile(anchor_path(path))).events == 6
    engine.dispose()


async def test_what_is_appended_after_the_end_is_refused_to_each(path: Path) -> None:
    refused = []
    async with SqliteJournal(path) as journal:
        pass

    async def append(draft: Draft) -> None:
        with pytest.raises(JournalError):
            await journal.append(draft)
        refused.append(draft.call)

    async with anyio.create_task_group() as group:
        for draft in drafts(3):
            group.start_soon(append, draft)
    assert len(refused) == 3


class BreaksAfterwards(ChainWriter):
    """Fails in a way that nobody expects, when all is written."""

    def append_now(self, drafts: Sequence[Draft]) -> list[Event] | None:
        super().append_now(drafts)
        raise RuntimeError("a fault of ours")


class CannotPublish(Listeners):
    """Fails when it has to tell."""

    def publish(self, events: Iterable[Event]) -> None:
        del events
        raise RuntimeError("a fault of ours")


@pytest.mark.parametrize(
    ("part", "faulty", "expected"),
    [("ChainWriter", BreaksAfterwards, "not known"), ("Listeners", CannotPublish, "kept")],
)
async def test_what_was_written_before_a_fault_is_not_written_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, part: str, faulty: type, expected: str
) -> None:
    monkeypatch.setattr(sqlite, part, faulty)
    faults: list[object] = []
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    async with SqliteJournal(path) as journal, anyio.create_task_group() as group:

        async def append(draft: Draft) -> None:
            try:
                await journal.append(draft)
                told.append("kept")
            except JournalError:
                told.append("not known")

        for draft in drafts(3):
            group.start_soon(append, draft)
    engine = open_store(path.parent)
    assert verify(engine, AnchorFile(anchor_path(path))).events == 3
    engine.dispose()
    assert [type(one) for one in faults] == [RuntimeError]
    assert told == [expected] * 3


def commits(path: Path) -> int:
    """Frames of the write-ahead log that end a commit: their second number is not 0 (SQLite file format, 4.1)."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    return sum(log[at + 4 : at + 8] != bytes(4) for at in range(32, len(log), 24 + page))
