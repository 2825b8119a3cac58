"""DuckDB over the files of one call. Runs in a process of its own, sealed before any of the caller's SQL is read.

What holds the caller's SQL, from the inside out: only queries are answered (`statements.py`); DuckDB may open the files
that were opened for the call and no others, loads no extension, and its settings are locked; the process can write
nothing and connect nowhere (`sealing.py`); the sandbox.
"""

from __future__ import annotations

import os
from contextlib import suppress

import duckdb

from muxi_servers.data.sources import Source, Sources, quoted
from muxi_servers.data.sqlite import copy_sqlite, is_sqlite
from muxi_servers.data.statements import one_query, prepare
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Answer", "Engine", "connect"]

_NAME = '"'
_DUCKDB_MARK = b"DUCK"
_MARK_AT = 8
_MAX_SAID = 2_000
_BATCH = 1_000
_LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")
_MADE = {
    "duckdb_tables": "table_name",
    "duckdb_views": "view_name",
    "duckdb_schemas": "schema_name",
    "duckdb_functions": "function_name",
    "duckdb_types": "type_name",
    "duckdb_sequences": "sequence_name",
}
_OWN = {"duckdb_sequences": "true"}
"""How they tell what DuckDB brings along, which are no sequences."""
_SETTINGS = {
    "memory_limit": "400MB",
    "threads": "2",
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}


def connect() -> Any:  # noqa: ANN401 - DuckDB's connection
    """A database in memory."""
    connection = duckdb.connect(":memory:", config=_SETTINGS)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


class _DuckdbErrors:
    """Turns an error of DuckDB within the block into a ToolError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, duckdb.Error):
            raise ToolError(_explain(error)) from None


class Answer:
    """Rows of a statement, some of which DuckDB may find out only now that it cannot compute.

    Attributes:
        description: (name, type, ...) of each column; none of a statement that has no result.
    """

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - DuckDB's
        self._connection = connection
        self.description: list[tuple[Any, ...]] = connection.description or []

    def fetchone(self) -> tuple[Any, ...]:
        """The next row. Raises ToolError: DuckDB failed."""
        with _DuckdbErrors():
            row: tuple[Any, ...] = self._connection.fetchone()
        return row

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        """The next rows, none at the end. Raises ToolError: DuckDB failed."""
        with _DuckdbErrors():
            rows: list[tuple[Any, ...]] = self._connection.fetchmany(count)
        return rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All that are left. Raises ToolError: DuckDB failed."""
        with _DuckdbErrors():
            rows: list[tuple[Any, ...]] = self._connection.fetchall()
        return rows


class Engine:
    """One connection to a database in memory; `database` is a file of the workspace whose tables are there too."""

    def __init__(self, sources: Sources, database: str = "") -> None:
        """Raises ToolError: the database file is none."""
        self._sources = sources
        self._connection = connect()
        if database:
            self._add_database(sources.get(database))

    def ask(self, sql: str) -> str:
        """Get ready for a query: its files become tables, then everything is locked. Returns the query to execute.

        Raises:
            ToolError: it is no query, or a file of it cannot be read.
        """
        one_query(self._connection, sql)
        text, tables = prepare(sql, self._sources)
        self._lock(tables)
        return one_query(self._connection, text)

    def change(self, database: str) -> None:
        """Get ready for statements that change the database file of that path (empty: none), before the seal.

        All files that they read must be open. What the seal would refuse later is done now: the file and its log are
        opened for writing. The log is not put into the file here, since that takes a change of names.

        Raises:
            ToolError: it is no database.
        """
        for setting in ("SET checkpoint_threshold = '1TB'", "PRAGMA disable_checkpoint_on_shutdown"):
            self._connection.execute(setting)
        self._lock([], [database + ending for ending in ("", *_LOGS)] if database else [])
        if not database:
            return
        try:
            self._connection.execute(f"ATTACH {quoted(database)} AS database")
            self._connection.execute("USE database")
            # The first change opens the log.
            opening = quoted(f"muxi_{os.urandom(8).hex()}", _NAME)
            self._connection.execute(f"CREATE SCHEMA {opening}")
            self._connection.execute(f"DROP SCHEMA {opening}")
        except duckdb.Error as error:
            raise ToolError(f"The database cannot be opened: {_explain(error)}") from None

    def ready(self, sql: str) -> str:
        """Of a statement after `change`: its files become tables. Returns the statement to execute."""
        text, tables = prepare(sql, self._sources)
        for path in tables:
            self._add_table(self._sources.get(path))
        return text

    def run(self, sql: str) -> int:
        """A statement after `change`, to its end: how many rows it says that it changed."""
        result = self.execute(self.ready(sql))
        counts = [part[0] for part in result.description] == ["Count"]
        rows, changed = 0, 0
        while batch := result.fetchmany(_BATCH):
            rows += len(batch)
            changed += sum(row[0] for row in batch) if counts else 0
        return changed if counts else rows

    def check_all_lasts(self) -> None:
        """After `change` of a database file, and the statements. What is temporary by its name is let be.

        Raises:
            ToolError: they made something in memory, beside the file, where it would be gone without a word.
        """
        made = " UNION ALL ".join(
            f"SELECT {name} FROM {of}() WHERE database_name = 'memory' AND {_OWN.get(of, 'NOT internal')}"  # nosec B608 - of constants
            for of, name in _MADE.items()
        )
        found = self.execute(f"{made} LIMIT 1").fetchall()
        if found:
            raise ToolError(
                f"{found[0][0]} was made in memory, not in the database: leave the name before it out, such as "
                "memory. Nothing was changed."
            )

    def close(self) -> None:
        """Have all of it in the file and its log."""
        self._connection.close()

    def look_at(self, path: str) -> str:
        """Get ready for one file; returns the query for all of it.

        Raises:
            ToolError: it cannot be read as a table.
        """
        self._sources.get(path)
        self._lock([path])
        return f"SELECT * FROM {quoted(path, _NAME)}"  # nosec B608 - quoted, or sealed

    def lock(self) -> None:
        """Get ready for queries over the database's tables only."""
        self._lock([])

    def execute(self, sql: str) -> Answer:
        """The result of a query.

        Raises:
            ToolError: DuckDB refused or failed.
        """
        with _DuckdbErrors():
            return Answer(self._connection.execute(sql))

    def columns(self, sql: str) -> list[tuple[str, str]]:
        """(name, type) of what a query returns."""
        return [(row[0], row[1]) for row in self.execute(f"DESCRIBE {sql}").fetchall()]

    def columns_of(self, path: str) -> list[tuple[str, str]]:
        """(name, type) of a file that was opened before the lock.

        Raises:
            ToolError: it cannot be read as a table.
        """
        self._add_table(self._sources.get(path))
        return self.columns(f"SELECT * FROM {quoted(path, _NAME)}")  # nosec B608 - quoted, or sealed

    def count(self, sql: str) -> int | None:
        """How many rows a query has; `None` if it cannot be counted."""
        try:
            row = self._connection.execute(f"SELECT count(*) FROM (\n{sql}\n)").fetchone()  # nosec B608 - quoted, or sealed
        except duckdb.Error:
            return None
        return int(row[0])

    def _lock(self, tables: list[str], more: Sequence[str] = ()) -> None:
        places = [*(place for source in self._sources.all() for place in source.places), *more]
        self._connection.execute(f"SET allowed_paths = [{', '.join(map(quoted, places))}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        for path in tables:
            self._add_table(self._sources.get(path))

    def _add_table(self, source: Source) -> None:
        try:
            self._connection.execute(
                f"CREATE OR REPLACE TEMP VIEW {quoted(source.path, _NAME)} AS SELECT * FROM {source.reader}"  # nosec B608 - quoted, or sealed
            )
        except duckdb.Error as error:
            raise ToolError(f"{source.path} cannot be read: {_explain(error)}") from None

    def _add_database(self, source: Source) -> None:
        (place,) = source.places
        start = _start_of(place)
        if is_sqlite(start):
            self._sources.check_no_log(source.path)
            copy_sqlite(self._connection, place, source.path)
        elif start[_MARK_AT : _MARK_AT + len(_DUCKDB_MARK)] == _DUCKDB_MARK:
            before = _times_open(place)
            try:
                self._connection.execute(f"ATTACH {quoted(place)} AS database (READ_ONLY)")
                self._connection.execute("USE database")
            except duckdb.Error as error:
                raise ToolError(f"{source.path} cannot be opened: {error}") from None
            if _times_open(place) == before:  # DuckDB opens a database by the path that a descriptor leads to now
                raise ToolError(f"{source.path} was put in another place while it was opened: try it again.")
        else:
            raise ToolError(f"{source.path} is no SQLite and no DuckDB database.")


def _start_of(place: str) -> bytes:
    with open(place, "rb") as file:
        return file.read(64)


def _times_open(place: str) -> int:
    """How many descriptors this process has of that file."""
    wanted, found = os.stat(place), 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            found += os.path.samestat(os.stat(f"/proc/self/fd/{name}"), wanted)
    return found


def _explain(error: Exception) -> str:
    """DuckDB's message, with what to do about its more frequent ones."""
    said = str(error)[:_MAX_SAID].replace(f"/proc/{os.getpid()}/", "/proc/self/")
    if "disabled by configuration" in said:
        return (
            f"{said}\nOnly files of the workspace are read: name each as a table, FROM 'folder/file.csv', or as the "
            "first argument of read_csv and the like."
        )
    if "Out of Memory" in said:
        return f"{said}\nAsk for fewer rows or columns at a time."
    return said
