"""What programs leave beside a database when they are ended in the middle: changes that are not in it, or half in it.

None of it is ever played into a database here. One that was read without it would be wrong without a word.
"""

from __future__ import annotations

import os

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import OsErrors, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.workspace import Workspace

__all__ = ["check_no_log", "check_not_open"]

_JOURNAL_MARK = bytes.fromhex("d9d505f920a163d7")  # https://sqlite.org/fileformat.html#the_rollback_journal
_LOGS = ("-wal", ".wal")
_OPEN = ("-wal", "-shm")


def check_no_log(workspace: Workspace, path: str, logs: tuple[str, ...] = _LOGS) -> None:
    """Look beside the database of that path.

    Raises:
        ToolError: there is a log with something in it, or a rollback journal of a change that was not ended.
    """
    with workspace.locate(path) as place:
        for ending in logs:
            if _start(place.folder, place.name + ending, path + ending):
                raise ToolError(
                    f"{path}{ending} may hold rows that are not in {path} yet: end what has the database open, or have "
                    "it write them (SQLite: PRAGMA wal_checkpoint(TRUNCATE); DuckDB: CHECKPOINT)."
                )
        if _start(place.folder, f"{place.name}-journal", f"{path}-journal") == _JOURNAL_MARK:
            raise ToolError(
                f"{path}-journal says that {path} holds a part of a change that did not end: wait for the program that "
                "makes it, or open the database with SQLite's own program once, which takes that back."
            )


def check_not_open(workspace: Workspace, path: str) -> None:
    """Look beside the SQLite database of that path for what a program makes that has it open with a write-ahead log.

    Raises:
        ToolError: there is such a file, even an empty one: what that program writes next would be lost.
    """
    with workspace.locate(path) as place:
        for ending in _OPEN:
            try:
                os.stat(place.name + ending, dir_fd=place.folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            raise ToolError(
                f"{path}{ending} says that a program has {path} open, or was ended while it had: close the database "
                "there. If none has, open it with SQLite's own program once (PRAGMA wal_checkpoint(TRUNCATE)) and "
                "close it, which takes that file away."
            )


def _start(folder: int, name: str, path: str) -> bytes:
    """The first bytes of a file; none if there is no file.

    Raises:
        ToolError: what is there is no file, or a link.
    """
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return b""
    with OsErrors(path):
        fd = open_regular(folder, name)
    try:
        return os.read(fd, len(_JOURNAL_MARK))
    finally:
        os.close(fd)
