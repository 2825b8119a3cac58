"""Statements that change a SQLite database: in memory, by Python's own `sqlite3`, in a sealed process.

The file is read whole, so that none of SQLite's own ways to disk is in use: no journal beside it is played back, none
is written, and nothing else is opened. What it has become is written to a descriptor that was open before the seal.
"""

from __future__ import annotations

import os
import sqlite3
import sys

from muxi_servers.data.sealing import seal
from muxi_servers.data.sqlite import is_sqlite
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.workspace import OsErrors, Workspace, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["change_database", "change_file"]

MAX_BYTES = 128 * 2**20
_CHUNK = 2**20
_MAX_HEAP = 400 * 2**20
_WRITTEN_BY, _AFTER = 18, 20
"""Two bytes of the header: 1 where changes go by a rollback journal, 2 by a write-ahead log, which memory has not."""
_PRAGMAS = frozenset(
    (
        *("foreign_keys", "defer_foreign_keys", "user_version", "application_id", "recursive_triggers"),
        *(
            "table_info",
            "table_xinfo",
            "table_list",
            "index_list",
            "index_info",
            "foreign_key_check",
            "integrity_check",
        ),
    )
)
_ASKED = frozenset(("data_version", "page_size"))
"""Asked by the modules for full text and ranges, and never set."""
_MODULES = frozenset(("fts3", "fts4", "fts5", "rtree", "rtree_i32"))


def change_file(request: dict[str, Any]) -> dict[str, Any]:
    """Run `sql` on the database at `source` (empty: a new one) and write all of it to `into`.

    Raises:
        ToolError: the database is none or too large, or a statement fails; nothing was written then.
    """
    workspace = Workspace(os.getcwd())
    with workspace.locate(request["into"], follow=False) as place, OsErrors(request["into"]):
        out = os.open(place.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.folder)
    seal()
    data = _read(workspace, request["source"]) if request["source"] else bytearray()
    changed, result = change_database(data, request["sql"])
    with OsErrors(request["into"]):
        write_all(out, bytes(result))
    return {"changed": changed, "copies": []}


def change_database(data: bytearray, sql: str) -> tuple[int, bytearray]:
    """How many rows were changed, and the whole database after it; `data` is emptied on the way.

    Raises:
        ToolError: as above.
    """
    if "\0" in sql:
        raise ToolError("The SQL has a NUL character in it: leave it out. Nothing was changed.")
    modes = bytes(data[_WRITTEN_BY:_AFTER])
    data[_WRITTEN_BY:_AFTER] = b"\x01" * len(modes)
    database = sqlite3.connect(":memory:", isolation_level=None)
    try:
        if data:
            database.deserialize(data)
            data.clear()
        _restrict(database)
        database.executescript(sql)
        if database.in_transaction:
            raise ToolError("The statements begin a transaction and do not end it: add COMMIT, or leave BEGIN out.")
        changed = database.total_changes
        database.set_authorizer(None)  # what follows asks SQLite itself for the number of pages
        result = bytearray(database.serialize())
    except (sqlite3.Error, UnicodeDecodeError) as error:  # what it says of a broken file need not be a text
        raise ToolError(f"SQLite refused: {error}. Nothing was changed.") from None
    finally:
        database.close()
    result[_WRITTEN_BY:_AFTER] = modes or result[_WRITTEN_BY:_AFTER]
    return changed, result


def _restrict(database: sqlite3.Connection) -> None:
    """Triggers and views that strangers made reach nothing outside, and no statement loosens that."""
    for pragma in ("trusted_schema = OFF", "temp_store = MEMORY", f"hard_heap_limit = {_MAX_HEAP}"):
        database.execute(f"PRAGMA {pragma}")
    if sys.version_info >= (3, 12):
        database.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)  # noqa: FBT003 - by position only
    database.set_authorizer(_judge)


def _judge(action: int, first: str | None, second: str | None, _: str | None, __: str | None) -> int:
    """SQLite asks before it makes ready each part of a statement, also in triggers and views."""
    refused = (
        (action == sqlite3.SQLITE_ATTACH and first != "")  # VACUUM attaches one without a name
        or (action == sqlite3.SQLITE_PRAGMA and not _is_plain_pragma((first or "").lower(), second))
        or (action == sqlite3.SQLITE_CREATE_VTABLE and (second or "").lower() not in _MODULES)
        or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() == "load_extension")
    )
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


def _is_plain_pragma(name: str, value: str | None) -> bool:
    return name in _PRAGMAS or (name in _ASKED and value is None)


def _read(workspace: Workspace, path: str) -> bytearray:
    with workspace.locate(path) as place, OsErrors(path):
        source = open_regular(place.folder, place.name)
        size = os.fstat(source).st_size
        if size > MAX_BYTES:
            raise ToolError(f"{path} has {size} bytes; a SQLite file of {MAX_BYTES} at most can be changed here.")
        data = bytearray()
        while part := os.read(source, _CHUNK):
            data += part
        os.close(source)
    if not is_sqlite(bytes(data[:64])):
        raise ToolError(f"{path} is no SQLite database.")
    return data
