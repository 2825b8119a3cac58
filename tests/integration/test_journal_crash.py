"""Real processes on one journal: killed in the middle, and side by side."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from muxi_runtime.journal.anchor import Anchor, AnchorFile, anchor_path
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.read import Query, search
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.verify import verify
from muxi_runtime.journal.writer import append_once
from muxi_runtime.store.engine import database_path, open_store

PROGRAM = Path(__file__).with_name("journal_appender.py")


@contextmanager
def appender(home, *, count, appenders=8, sync="normal"):
    command = [sys.executable, str(PROGRAM), str(home), str(count), str(appenders), sync]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def checked(home, expect=()):
    engine = open_store(home)
    try:
        return verify(engine, AnchorFile(anchor_path(database_path(home))), expect=expect)
    finally:
        engine.dispose()


@pytest.mark.promise("journal-survives-kill")
@pytest.mark.parametrize("sync", ["normal", "full"])
def test_everything_acknowledged_is_there_after_sigkill(tmp_path, sync):
    with appender(tmp_path, count=10**9, sync=sync) as process:
        acknowledged = [process.stdout.readline().strip() for _ in range(200)]
        process.kill()
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    anchors = [Anchor.parse(line) for line in acknowledged]
    report = checked(tmp_path, expect=anchors)
    assert report.ok, report.broken
    assert report.events >= max(anchor.seq for anchor in anchors)


@pytest.mark.promise("journal-survives-kill")
def test_the_chain_goes_on_after_sigkill(tmp_path):
    for _ in range(3):
        with appender(tmp_path, count=10**9) as process:
            for _ in range(50):
                process.stdout.readline()
            process.kill()
    append_once(database_path(tmp_path), JournalSettings(), Draft("test.after"))
    report = checked(tmp_path)
    assert report.ok, report.broken
    assert not report.losses


@pytest.mark.promise("journal-one-chain")
def test_two_processes_append_to_one_chain(tmp_path):
    open_store(tmp_path).dispose()
    with appender(tmp_path, count=50, appenders=4) as first, appender(tmp_path, count=50, appenders=4) as second:
        lines = [line for process in (first, second) for line in process.communicate(timeout=50)[0].split()]
        assert (first.returncode, second.returncode) == (0, 0)
    report = checked(tmp_path, expect=[Anchor.parse(line) for line in lines])
    assert report.ok, report.broken
    assert (report.events, len(set(lines))) == (400, 400)


def test_a_command_appends_while_the_runtime_does(tmp_path):
    with appender(tmp_path, count=10**9) as process:
        process.stdout.readline()
        event = append_once(database_path(tmp_path), JournalSettings(), Draft("key.created"))
        while Anchor.parse(process.stdout.readline()).seq <= event.seq:
            pass
    assert checked(tmp_path).ok
    engine = open_store(tmp_path)
    assert [found.seq for found in search(engine, Query(kind="key"))] == [event.seq]
    engine.dispose()


def test_several_processes_may_make_the_database_at_once(tmp_path):
    program = (
        "import sys; from pathlib import Path; from muxi_runtime.store.engine import open_store;"
        "from muxi_runtime.store.installation import installation_id; home = Path(sys.argv[1]);"
        "sys.stdin.readline(); open_store(home).dispose(); print(installation_id(home))"
    )
    home = str(tmp_path / "new" / "home")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = [process.communicate(timeout=50)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(set(ids)) == 1
