"""Tables of a SQLite file, copied into the database in memory by Python's own `sqlite3`.

DuckDB reads SQLite with an extension that is fetched from the network and is on no index of packages, so it is not
there. A copy costs memory, so its size is bounded; and the file, which strangers may have made, is opened read-only,
without its triggers, and without functions that reach outside.
"""

from __future__ import annotations

import sqlite3

from muxi_servers.data.sources import quoted
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["copy_sqlite", "is_sqlite"]

_MARK = b"SQLite format 3\0"
MAX_ROWS = 2_000_000
_BATCH = 5_000
MAX_TABLES = 1_000
_MOST_EXACT = 2**53  # of whole numbers as DOUBLE
_TYPES = {"integer": "BIGINT", "real": "DOUBLE", "text": "VARCHAR", "blob": "BLOB"}
_NAME = '"'


def is_sqlite(start: bytes) -> bool:
    """Whether a file that begins so is one."""
    return start.startswith(_MARK)


def copy_sqlite(connection: Any, place: str, path: str) -> None:  # noqa: ANN401 - DuckDB's connection
    """Copy every table. It is opened as one that nothing changes: no journal or log beside it is looked at.

    Raises:
        ToolError: the file is broken, or holds more than fits.
    """
    try:
        source = sqlite3.connect(f"file:{place}?mode=ro&immutable=1", uri=True)
        source.execute("PRAGMA trusted_schema = OFF")
        source.text_factory = lambda data: data.decode("utf-8", "replace")
        names = [row[0] for row in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        names = [name for name in names if not name.startswith("sqlite_")]
        if len(names) > MAX_TABLES:
            raise ToolError(f"{path} has {len(names)} tables; {MAX_TABLES} at most can be read.")
        rows = 0
        for name in names:
            rows += _copy_table(connection, source, name, MAX_ROWS - rows)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # what it says of a broken file need not be a text
        raise ToolError(f"{path} cannot be read as SQLite: {error}.") from None


def _copy_table(connection: Any, source: sqlite3.Connection, name: str, room: int) -> int:  # noqa: ANN401 - as above
    table = quoted(name, _NAME)
    cursor = source.execute(f"SELECT * FROM {table}")  # nosec B608 - quoted, or sealed
    columns = [part[0] for part in cursor.description]
    types = [_type_of(source, table, quoted(column, _NAME)) for column in columns]
    made = ", ".join(f"{quoted(column, _NAME)} {kind}" for column, kind in zip(columns, types, strict=True))
    connection.execute(f"CREATE TABLE {table} ({made})")
    copied = 0
    while batch := cursor.fetchmany(_BATCH):
        copied += len(batch)
        if copied > room:
            raise ToolError(f"The SQLite file has more than {MAX_ROWS} rows: take a part of it with another program.")
        rows = [[_value(value, kind) for value, kind in zip(row, types, strict=True)] for row in batch]
        _insert(connection, table, types, rows)
    return copied


def _insert(connection: Any, table: str, types: list[str], rows: list[list[Any]]) -> None:  # noqa: ANN401
    """One statement for a batch: a list for each column, unnested side by side."""
    lists = ", ".join(f"unnest(?::{kind}[])" for kind in types)
    connection.execute(f"INSERT INTO {table} SELECT {lists}", [list(column) for column in zip(*rows, strict=True)])  # nosec B608


def _type_of(source: sqlite3.Connection, table: str, column: str) -> str:
    """What the values are, since SQLite's columns take anything; text where they are mixed.

    Text also where a whole number among others is one that DOUBLE would round.
    """
    found = source.execute(f"SELECT DISTINCT typeof({column}) FROM {table}")  # nosec B608 - quoted, or sealed
    kinds = {row[0] for row in found} - {"null"}
    if kinds <= {"integer", "real"} and "real" in kinds:
        return "VARCHAR" if kinds == {"integer", "real"} and _has_large(source, table, column) else "DOUBLE"
    return _TYPES[kinds.pop()] if len(kinds) == 1 else "VARCHAR"


def _has_large(source: sqlite3.Connection, table: str, column: str) -> bool:
    found = source.execute(
        f"SELECT 1 FROM {table} WHERE typeof({column}) = 'integer' "  # nosec B608 - quoted, or sealed
        f"AND {column} NOT BETWEEN -{_MOST_EXACT} AND {_MOST_EXACT} LIMIT 1"
    )
    return found.fetchone() is not None


def _value(value: Any, kind: str) -> Any:  # noqa: ANN401 - any value of SQLite's
    if value is None or kind in {"BIGINT", "BLOB"}:
        return value
    if kind == "DOUBLE":
        return float(value)
    return value.hex() if isinstance(value, bytes) else str(value)
