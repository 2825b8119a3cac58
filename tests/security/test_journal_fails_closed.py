"""An event that cannot be kept is an error, never silence."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import anyio
import pytest

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.anchor import AnchorFile, anchor_path
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.journal.verify import verify
from muxi_runtime.store.engine import database_path, open_store

FULL_DISK = """
import json, resource, sys
from pathlib import Path
import anyio
from muxi_runtime.errors import JournalError
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.store.engine import database_path, open_store

async def outcome(journal):
    try:
        return (await journal.append(Draft("test.appended", data={"text": "x" * 30000}))).seq
    except JournalError as error:
        return str(error)

async def main(home):
    open_store(home).dispose()
    async with SqliteJournal(database_path(home)) as journal:
        before = await outcome(journal)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
        during, still = await outcome(journal), await outcome(journal)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        print(json.dumps([before, during, still, await outcome(journal)]))

anyio.run(main, Path(sys.argv[1]))
"""


def report_of(home):
    engine = open_store(home)
    try:
        return verify(engine, AnchorFile(anchor_path(database_path(home))))
    finally:
        engine.dispose()


@pytest.mark.promise("journal-fails-closed")
def test_a_full_disk_fails_each_append_until_there_is_room_again(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=50, check=True
    )
    before, during, still, after = json.loads(done.stdout)
    assert "could not be written" in during
    assert "could not be written" in still
    assert after == before + 1, "what was refused took a place in the chain"
    report = report_of(tmp_path)
    assert (report.ok, report.events) == (True, after)


@pytest.mark.promise("journal-fails-closed")
async def test_a_failed_commit_fails_every_append_of_its_group_and_then_recovers(tmp_path):
    open_store(tmp_path).dispose()
    outcomes = []

    async def append(journal):
        try:
            outcomes.append((await journal.append(Draft("test.appended"))).seq)
        except JournalError as error:
            outcomes.append(error)

    async with SqliteJournal(database_path(tmp_path)) as journal:
        _rename(tmp_path, "journal", "elsewhere")
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(append, journal)
        assert len(outcomes) == 50
        assert all(isinstance(outcome, JournalError) for outcome in outcomes)
        assert len({id(outcome) for outcome in outcomes}) == 50
        _rename(tmp_path, "elsewhere", "journal")
        assert (await journal.append(Draft("test.appended"))).seq == 1
    assert report_of(tmp_path).ok


async def test_appends_beyond_the_queue_wait_and_are_kept(tmp_path):
    open_store(tmp_path).dispose()
    settings = JournalSettings.model_validate({"queue_events": 2, "batch_events": 1})
    async with (
        SqliteJournal(database_path(tmp_path), settings) as journal,
        anyio.create_task_group() as group,
    ):
        for _ in range(40):
            group.start_soon(journal.append, Draft("test.appended"))
    assert report_of(tmp_path).events == 40


async def test_a_cancelled_append_holds_nobody_up_and_what_was_queued_is_written_at_the_end(tmp_path):
    open_store(tmp_path).dispose()
    with anyio.fail_after(20):
        async with SqliteJournal(database_path(tmp_path)) as journal:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    for _ in range(20):
                        group.start_soon(journal.append, Draft("test.appended"))
                    await journal.append(Draft("test.appended"))
                    scope.cancel()
            last = await journal.append(Draft("test.appended"))
    report = report_of(tmp_path)
    assert (report.ok, report.events) == (True, last.seq)


async def test_an_exception_of_the_block_comes_out_as_it_is(tmp_path):
    open_store(tmp_path).dispose()
    with pytest.raises(KeyError):
        async with SqliteJournal(database_path(tmp_path)):
            raise KeyError("ours")


async def test_a_database_that_cannot_be_opened_is_said_at_the_start(tmp_path):
    with pytest.raises(JournalError, match="could not be written"):
        async with SqliteJournal(tmp_path / "no" / "such.db"):
            pass


def _rename(home, before, after):
    with sqlite3.connect(database_path(home)) as connection:
        connection.execute(f"ALTER TABLE {before} RENAME TO {after}")
    connection.close()
