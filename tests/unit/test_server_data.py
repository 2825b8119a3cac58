"""Rows as JSON and in files, without DuckDB, which is in the server's image only."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from muxi_servers.data.exporting import write_rows
from muxi_servers.data.sqlite import MAX_TABLES, copy_sqlite
from muxi_servers.data.values import MAX_CELL, cut_cell
from muxi_servers.data.work import _query
from muxi_servers.kit.errors import ToolError

LONG = "x" * (MAX_CELL + 3_000)


class Rows:
    """Answers any query with these rows, as the engine does."""

    def __init__(self, names: list[str], rows: list[tuple[object, ...]]) -> None:
        self.description = [(name, "VARCHAR") for name in names]
        self._rows = rows

    def columns(self, _: str) -> list[tuple[str, str]]:
        return self.description

    def execute(self, _: str) -> Rows:
        return self

    def fetchmany(self, count: int) -> list[tuple[object, ...]]:
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken


def exported(folder: Path, form: str, names: list[str], *rows: tuple[object, ...]) -> str:
    out = os.open(folder / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_rows(cast("Any", Rows(names, list(rows))), "SELECT", form, out)
    finally:
        os.close(out)
    return (folder / "out").read_text()


def test_an_export_to_json_cuts_nothing(tmp_path: Path) -> None:
    for form in ("json", "jsonl"):
        told = json.loads(exported(tmp_path, form, ["t", "b"], (LONG, b"\xab" * 4_000)))
        assert (told[0] if form == "json" else told) == {"t": LONG, "b": "ab" * 4_000}


def test_lists_and_structs_are_exported_as_json_not_as_text(tmp_path: Path) -> None:
    row = ([1, None, 2**60], {"day": date(2026, 1, 2), "long": [LONG]}, float("nan"))
    told = json.loads(exported(tmp_path, "jsonl", ["l", "s", "n"], row))
    assert told == {"l": [1, None, str(2**60)], "s": {"day": "2026-01-02", "long": [LONG]}, "n": "nan"}


def test_columns_of_one_name_are_exported_only_where_none_is_lost(tmp_path: Path) -> None:
    for form in ("json", "jsonl", "parquet"):
        with pytest.raises(ToolError, match="same name"):
            exported(tmp_path, form, ["v", "v"], (1, 2))
    assert exported(tmp_path, "csv", ["v", "v"], ("1", "2")) == "v,v\n1,2\n"


def test_a_query_says_how_many_values_it_cut() -> None:
    told = _query(cast("Any", Rows(["t", "l"], [(LONG, [1, 2]), ("short", [LONG])])), "SELECT", {"max_rows": 9}, -1)
    assert (told["cut_cells"], told["total_rows"], told["complete"]) == (2, 2, False)
    assert told["rows"][0] == [LONG[:MAX_CELL], "[1,2]"]
    assert cut_cell("x" * MAX_CELL) == ("x" * MAX_CELL, False)


class Copied:
    """Takes the statements that would copy a SQLite file, in place of DuckDB."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.values: list[object] = []

    def execute(self, sql: str, values: list[object] | None = None) -> None:
        if values is None:
            self.made.append(sql)
        else:
            self.values.append(values)


def test_every_table_of_a_sqlite_file_is_copied_or_none(tmp_path: Path) -> None:
    file = tmp_path / "many.db"
    with sqlite3.connect(file) as many:
        for number in range(MAX_TABLES):
            many.execute(f"CREATE TABLE t{number} (a)")
    copied = Copied()
    copy_sqlite(copied, str(file), "many.db")
    assert len(copied.made) == MAX_TABLES
    many.execute("CREATE TABLE more (a)")
    many.close()
    with pytest.raises(ToolError, match="1001 tables"):
        copy_sqlite(Copied(), str(file), "many.db")


def test_whole_numbers_among_others_are_not_rounded(tmp_path: Path) -> None:
    file = tmp_path / "numbers.db"
    with sqlite3.connect(file) as numbers:
        numbers.execute("CREATE TABLE t (large, small, least)")
        rows = [(2**53 + 1, 2**53, -(2**63)), (1.5, 1.5, 1.5)]
        numbers.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    numbers.close()
    copied = Copied()
    copy_sqlite(copied, str(file), "numbers.db")
    assert copied.made == ['CREATE TABLE "t" ("large" VARCHAR, "small" DOUBLE, "least" VARCHAR)']
    assert copied.values == [[["9007199254740993", "1.5"], [2.0**53, 1.5], ["-9223372036854775808", "1.5"]]]
