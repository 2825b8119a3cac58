"""Changes of SQLite databases, and what holds a change up. DuckDB's are tested in its image."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muxi_servers.data.sqlite_changing import change_database
from muxi_servers.data.writing import Writing
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import Workspace

START = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y');"


def rows_of(data: bytes) -> list[tuple[object, ...]]:
    database = sqlite3.connect(":memory:")
    try:
        database.deserialize(data)
        return database.execute("SELECT * FROM t ORDER BY a").fetchall()
    finally:
        database.close()


def made(sql: str = START) -> bytearray:
    return change_database(bytearray(), sql)[1]


def test_a_new_database_is_made_and_changed() -> None:
    changed, after = change_database(made(), "UPDATE t SET b = 'z' WHERE a > 1; DELETE FROM t WHERE a = 1")
    assert (changed, rows_of(after)) == (2, [(2, "z")])


def test_when_one_statement_fails_none_has_taken_effect() -> None:
    with pytest.raises(ToolError, match="Nothing was changed"):
        change_database(made(), "INSERT INTO t VALUES (3, 'z'); INSERT INTO t VALUES (3, 'again')")
    with pytest.raises(ToolError, match="do not end it"):
        change_database(made(), "BEGIN; DELETE FROM t")


def test_a_database_that_uses_a_write_ahead_log_goes_on_using_one(tmp_path: Path) -> None:
    file = tmp_path / "wal.db"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(START)
    database.close()
    changed, after = change_database(bytearray(file.read_bytes()), "DELETE FROM t WHERE a = 1")
    file.write_bytes(after)
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert (changed, database.execute("SELECT * FROM t").fetchall()) == (1, [(2, "y")])
    database.close()


@pytest.mark.promise("changes-stay-where-allowed")
@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '/etc/passwd' AS other",
        "ATTACH 'file:new.db?mode=rwc' AS other",
        "VACUUM INTO 'new.db'",
        "PRAGMA journal_mode = WAL",
        "PRAGMA temp_store_directory = '/workspace'",
        "PRAGMA writable_schema = ON",
        "PRAGMA trusted_schema = ON",
        "PRAGMA hard_heap_limit = 0",
        "SELECT load_extension('/tmp/x.so')",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT load_extension('x'); END; INSERT INTO t VALUES (3, 'z')",
        "CREATE VIRTUAL TABLE v USING csv(filename='/etc/passwd')",
        "CREATE VIRTUAL TABLE temp.v USING dbstat(main)",
    ],
)
def test_statements_of_sqlite_reach_no_other_file_and_loosen_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ToolError, match="SQLite refused"):
        change_database(made(), sql)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None)
@example(data=b"\x80", at=4_084)  # a name that is no text, in the complaint about it
@given(data=st.binary(max_size=4_000), at=st.integers(0, 8_000))
def test_a_broken_database_is_refused_or_stays_readable(data: bytes, at: int) -> None:
    broken = made()
    broken[at : at + len(data)] = data
    try:
        _, after = change_database(broken, "INSERT INTO t VALUES (77, 'new')")
    except ToolError:
        return
    assert (77, "new") in rows_of(after)


@pytest.mark.parametrize("module", ["fts3", "fts4", "fts5"])
def test_tables_of_full_text_search_are_made_and_changed(module: str) -> None:
    start = made(f"CREATE VIRTUAL TABLE f USING {module}(w)")
    _, start = change_database(start, "INSERT INTO f VALUES ('one two')")
    changed, after = change_database(start, "INSERT INTO f VALUES ('three'); DELETE FROM f WHERE f MATCH 'one'")
    assert changed >= 2
    database = sqlite3.connect(":memory:")
    database.deserialize(bytes(after))
    assert database.execute("SELECT w FROM f WHERE f MATCH 'three OR one'").fetchall() == [("three",)]
    database.close()


@pytest.mark.parametrize("module", ["rtree", "rtree_i32"])
def test_tables_of_ranges_are_made_and_changed(module: str) -> None:
    start = made(f"CREATE VIRTUAL TABLE r USING {module}(id, low, high)")
    _, start = change_database(start, "INSERT INTO r VALUES (1, 2, 3)")
    _, after = change_database(start, "INSERT INTO r VALUES (2, 5, 6); DELETE FROM r WHERE high < 4")
    database = sqlite3.connect(":memory:")
    database.deserialize(bytes(after))
    assert database.execute("SELECT * FROM r").fetchall() == [(2, 5, 6)]
    database.close()


@pytest.mark.parametrize("sql", ["PRAGMA page_size = 512", "PRAGMA data_version = 1"])
def test_what_is_asked_of_the_file_cannot_be_set(sql: str) -> None:
    with pytest.raises(ToolError, match="SQLite refused"):
        change_database(made(), sql)


def test_a_character_that_ends_texts_is_refused_in_words() -> None:
    with pytest.raises(ToolError, match="NUL"):
        change_database(made(), "SELECT 1;\0DROP TABLE t")


class Steps:
    """Answers what the processes of a change are asked, and does something in between."""

    def __init__(self, folder: Path, meanwhile: str = "") -> None:
        self._folder = folder
        self._meanwhile = meanwhile
        self.asked: list[str] = []

    def __call__(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(function)
        before = (self._folder / request["source"]).read_bytes() if request["source"] else b""
        _, after = change_database(bytearray(before), request["sql"])
        (self._folder / request["into"]).write_bytes(after)
        if self._meanwhile:
            (self._folder / self._meanwhile).write_bytes(b"by another program")
        return {"changed": 1, "copies": []}


@pytest.mark.promise("changes-stay-where-allowed")
@pytest.mark.parametrize("told", ["", "no", "ALLOW", None])
def test_nothing_is_changed_unless_the_operator_allowed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    monkeypatch.delenv("DATA_WRITE", raising=False)
    if told is not None:
        monkeypatch.setenv("DATA_WRITE", told)
    steps = Steps(tmp_path)
    with pytest.raises(ToolError, match=r"servers\.data\.environment\.DATA_WRITE: allow"):
        Writing(Workspace(str(tmp_path))).execute(steps, START, "new.sqlite", 5)
    assert (steps.asked, list(tmp_path.iterdir())) == ([], [])


def test_a_database_is_changed_in_one_step_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_WRITE", "allow")
    (tmp_path / "link.sqlite").symlink_to("new.sqlite")
    writing = Writing(Workspace(str(tmp_path)))
    told = writing.execute(Steps(tmp_path), START, "/workspace/new.sqlite", 5)
    assert (told["database"], told["size_bytes"]) == ("new.sqlite", (tmp_path / "new.sqlite").stat().st_size)
    assert writing.execute(Steps(tmp_path), "DELETE FROM t WHERE a = 1", "link.sqlite", 5)["database"] == "new.sqlite"
    assert rows_of((tmp_path / "new.sqlite").read_bytes()) == [(2, "y")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.sqlite", "new.sqlite"]


@pytest.mark.parametrize("meanwhile", ["there.sqlite", "there.sqlite-wal", "new.sqlite"])
def test_a_change_by_another_program_meanwhile_is_never_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    monkeypatch.setenv("DATA_WRITE", "allow")
    (tmp_path / "there.sqlite").write_bytes(made())
    database = "new.sqlite" if meanwhile == "new.sqlite" else "there.sqlite"
    sql = START if database == "new.sqlite" else "DELETE FROM t"
    with pytest.raises(ToolError):
        Writing(Workspace(str(tmp_path))).execute(Steps(tmp_path, meanwhile), sql, database, 5)
    assert (tmp_path / meanwhile).read_bytes() == b"by another program"
    if meanwhile != "there.sqlite":
        assert len(rows_of((tmp_path / "there.sqlite").read_bytes())) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".muxi")] == []


@pytest.mark.promise("changes-stay-where-allowed")
@pytest.mark.parametrize("database", ["../x.sqlite", "/etc/x.sqlite", "away/x.sqlite", "out.sqlite"])
def test_no_path_of_a_database_leads_out_of_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setenv("DATA_WRITE", "allow")
    inside, outside = tmp_path / "workspace", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "there.sqlite").write_bytes(made())
    (inside / "away").symlink_to(outside)
    (inside / "out.sqlite").symlink_to(outside / "there.sqlite")
    steps = Steps(inside)
    with pytest.raises(ToolError):
        Writing(Workspace(str(inside))).execute(steps, "DROP TABLE t", database, 5)
    assert steps.asked == []
    assert [path.name for path in outside.iterdir()] == ["there.sqlite"]


def test_a_new_database_says_by_its_ending_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_WRITE", "allow")
    with pytest.raises(ToolError, match=r"ends in \.duckdb, \.sqlite"):
        Writing(Workspace(str(tmp_path))).execute(Steps(tmp_path), START, "new.db", 5)
