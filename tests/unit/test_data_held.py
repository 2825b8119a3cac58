"""Databases that other programs have open, what a failed change leaves, and what waits for its turn."""

from __future__ import annotations

import fcntl
import sqlite3
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from muxi_servers.data.deadlines import Deadline
from muxi_servers.data.locks import HeldDatabase
from muxi_servers.data.sqlite_changing import change_database
from muxi_servers.data.writing import Writing
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import Workspace

pytestmark = pytest.mark.timeout(120)

START = "CREATE TABLE t (a INTEGER PRIMARY KEY)"
OPEN = """
import sqlite3, sys
shop = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    shop.execute(statement).fetchone()
print('open', flush=True)
sys.stdin.read()
"""
LOCKED = """
import fcntl, sys
file = open(sys.argv[1], 'r+b')
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as DuckDB does
print('open', flush=True)
sys.stdin.read()
"""


@contextmanager
def another_program(program: str, *arguments: str) -> Iterator[None]:
    """It has done what it does, and goes on until the end of the block."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        assert ran.stdout.readline() == "open\n"
        try:
            yield
        finally:
            ran.kill()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATA_WRITE", "allow")
    (tmp_path / "shop.sqlite").write_bytes(change_database(bytearray(), START)[1])
    return tmp_path


class Runs:
    """Answers what the processes of a change are asked: a SQLite database is changed, COPY statements write one row."""

    def __init__(self, folder: Path, *files: str, meanwhile: str = "", fails: bool = False) -> None:
        self._folder = folder
        self._files = files
        self._meanwhile = meanwhile
        self._fails = fails

    def __call__(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        if function == "changing:plan":
            return {"statements": [{"file": file, "format": "csv"} for file in self._files], "sources": []}
        if function == "changing:change_sqlite":
            before = (self._folder / request["source"]).read_bytes()
            changed, after = change_database(bytearray(before), request["sql"])
            (self._folder / request["into"]).write_bytes(after)
            return {"changed": changed, "copies": []}
        if self._fails:
            raise ToolError("It failed.")
        for out in request.get("outs", ()):
            (self._folder / out).write_text("a\n1\n")
        if self._meanwhile:
            (self._folder / self._meanwhile).mkdir()
        return {"changed": 0, "copies": [{"rows": 1, "columns": []} for _ in self._files]}


def execute(folder: Path, sql: str, database: str, runs: Runs | None = None) -> dict[str, Any]:
    return Writing(Workspace(str(folder))).execute(runs or Runs(folder), sql, database, 30)


@pytest.mark.parametrize(
    "statements",
    [
        ("PRAGMA journal_mode = WAL", "INSERT INTO t VALUES (1)", "PRAGMA wal_checkpoint(TRUNCATE)"),
        ("BEGIN IMMEDIATE",),
        ("BEGIN", "SELECT * FROM sqlite_schema"),
        ("PRAGMA locking_mode = EXCLUSIVE", "INSERT INTO t VALUES (1)"),
    ],
)
def test_a_sqlite_database_that_a_program_has_in_use_is_not_replaced(folder: Path, statements: tuple[str, ...]) -> None:
    file = folder / "shop.sqlite"
    with another_program(OPEN, str(file), *statements):
        before = file.stat().st_ino
        with pytest.raises(ToolError, match="open"):
            execute(folder, "INSERT INTO t VALUES (2)", "shop.sqlite")
        assert file.stat().st_ino == before


def test_a_sqlite_database_is_changed_when_the_program_has_closed_it(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.sqlite") as shop:
        shop.execute("PRAGMA journal_mode = WAL")
    shop.close()
    assert execute(folder, "INSERT INTO t VALUES (2)", "shop.sqlite")["changed_rows"] == 1


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_an_empty_log_says_that_a_program_may_have_the_database_open(folder: Path, ending: str) -> None:
    (folder / f"shop.sqlite{ending}").touch()
    with pytest.raises(ToolError, match=f"shop.sqlite{ending} says"):
        execute(folder, "INSERT INTO t VALUES (2)", "shop.sqlite")


def test_sqlite_itself_waits_while_a_database_is_held(folder: Path) -> None:
    workspace = Workspace(str(folder))
    with HeldDatabase(workspace, "shop.sqlite", sqlite=True) as held:
        other = sqlite3.connect(folder / "shop.sqlite", timeout=0, isolation_level=None)
        assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        held.keep_readers_out()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("SELECT count(*) FROM t")
    assert other.execute("INSERT INTO t VALUES (1)").rowcount == 1
    other.close()


def test_a_duckdb_database_that_a_program_has_open_is_not_replaced(folder: Path) -> None:
    file = folder / "shop.duckdb"
    file.write_bytes(b"x" * 8 + b"DUCK")
    with another_program(LOCKED, str(file)), pytest.raises(ToolError, match="open in another program"):
        execute(folder, "DELETE FROM t", "shop.duckdb")
    assert execute(folder, "DELETE FROM t", "shop.duckdb")["database"] == "shop.duckdb"


def test_no_program_can_open_a_held_duckdb_database_to_write_and_none_holds_it_twice(folder: Path) -> None:
    (folder / "shop.duckdb").touch()
    workspace = Workspace(str(folder))
    with HeldDatabase(workspace, "shop.duckdb", sqlite=False), (folder / "shop.duckdb").open("r+b") as file:
        for kind, free in ((fcntl.F_WRLCK, False), (fcntl.F_RDLCK, True)):
            found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, struct.pack("hhqqi4x", kind, 0, 0, 0, 0))
            assert (struct.unpack("hhqqi4x", found)[0] == fcntl.F_UNLCK) is free
        with pytest.raises(ToolError, match="open in another program"):
            HeldDatabase(workspace, "shop.duckdb", sqlite=False)


@pytest.mark.parametrize(
    "files", [("o", "o/b.csv"), ("o/b.csv", "o"), ("n.duckdb/x.csv",), ("n.duckdb",), ("n.duckdb.wal",), ("a", "./a")]
)
def test_paths_of_which_one_is_in_the_way_of_another_are_refused(folder: Path, files: tuple[str, ...]) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(ToolError):
        execute(folder, "COPY", "n.duckdb", Runs(folder, *files))
    assert sorted(folder.rglob("*")) == before


def test_what_came_in_the_way_of_one_file_keeps_all_of_them_out(folder: Path) -> None:
    with pytest.raises(ToolError, match=r"second\.csv exists"):
        execute(folder, "COPY", "", Runs(folder, "first.csv", "second.csv", meanwhile="second.csv"))
    assert sorted(path.name for path in folder.iterdir()) == ["second.csv", "shop.sqlite"]


def test_a_file_that_cannot_be_put_in_place_leaves_the_database_and_names_the_files_before_it(folder: Path) -> None:
    class Loses(Runs):
        def __call__(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
            told = super().__call__(function, request)
            for out in request.get("outs", ())[1:]:
                (folder / out).unlink()
            return told

    (folder / "n.duckdb").write_bytes(b"as it was")
    with pytest.raises(ToolError, match=r"in place already: first\.csv\. The database is as it was"):
        execute(folder, "COPY", "n.duckdb", Loses(folder, "first.csv", "second.csv", "third.csv"))
    assert sorted(path.name for path in folder.iterdir()) == ["first.csv", "n.duckdb", "shop.sqlite"]
    assert (folder / "n.duckdb").read_bytes() == b"as it was"


def test_twenty_files_are_written_by_one_call_at_most(folder: Path) -> None:
    files = [f"new/{number}.csv" for number in range(21)]
    with pytest.raises(ToolError, match="20 files at most"):
        execute(folder, "COPY", "", Runs(folder, *files))
    assert not (folder / "new").exists()
    assert len(execute(folder, "COPY", "", Runs(folder, *files[1:]))["files"]) == 20


def test_a_change_that_fails_leaves_no_folder_that_it_made(folder: Path) -> None:
    (folder / "old").mkdir()
    for files in (("fresh/deep/x.csv", "fresh/y.csv", "old/new/z.csv"), ("fresh/" + "d/" * 70 + "x.csv",)):
        with pytest.raises(ToolError):
            execute(folder, "COPY", "", Runs(folder, *files, fails=True))
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["old", "shop.sqlite"]
    execute(folder, "COPY", "", Runs(folder, "fresh/deep/x.csv"))
    assert (folder / "fresh" / "deep" / "x.csv").exists()


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
def test_a_database_keeps_its_mode_and_no_copy_of_it_is_open_to_more(folder: Path, mode: int) -> None:
    file = folder / "shop.sqlite"
    file.chmod(mode)
    seen = []

    class Looks(Runs):
        def __call__(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
            seen.append(stat.S_IMODE((folder / request["into"]).stat().st_mode))
            return super().__call__(function, request)

    execute(folder, "INSERT INTO t VALUES (1)", "shop.sqlite", Looks(folder))
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert [one & ~mode for one in seen] == [0]


def test_who_waits_for_a_turn_gives_up_when_cancelled_and_when_the_time_is_over(folder: Path) -> None:
    writing = Writing(Workspace(str(folder)))
    entered, leave = threading.Event(), threading.Event()

    class Waits(Runs):
        def __call__(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
            entered.set()
            leave.wait(60)
            return super().__call__(function, request)

    first = threading.Thread(
        target=writing.execute, args=(Waits(folder), "INSERT INTO t VALUES (1)", "shop.sqlite", 60)
    )
    first.start()
    assert entered.wait(60)
    try:
        with pytest.raises(ToolError, match="cancelled"):
            writing.execute(Runs(folder), "DELETE FROM t", "shop.sqlite", 1_000, cancelled=lambda: True)
        with pytest.raises(ToolError, match="takes long"):
            writing.execute(Runs(folder), "DELETE FROM t", "shop.sqlite", 0.3)
    finally:
        leave.set()
        first.join(60)


def test_a_deadline_that_is_over_says_how_long_it_was() -> None:
    assert 0 < Deadline(100, "It").left() <= 100
    with pytest.raises(ToolError, match="It took longer than 0 s"):
        Deadline(0, "It").left()
