"""Keeps other programs from changing a database between the reading of it and the rename that replaces it.

A program that has the old file open would go on writing into it, be told that its rows are kept, and lose them. So the
locks of SQLite and DuckDB themselves are held meanwhile: both are fcntl(2) locks on the file. Readers are let be.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import OsErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from muxi_servers.kit.workspace import Workspace

__all__ = ["HeldDatabase"]

# https://sqlite.org/src/file/src/os.h: a reader locks the shared bytes, a writer first the reserved one.
_PENDING, _RESERVED, _SHARED, _SHARED_BYTES = 0x40000000, 0x40000001, 0x40000002, 510
_READERS_END_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 0.05
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, process
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class HeldDatabase:
    """A context: from its beginning to its end no other program changes the database file of that path.

    Attributes:
        descriptor: the file, to be read.
    """

    def __init__(self, workspace: Workspace, path: str, *, sqlite: bool) -> None:
        """Raises ToolError: it cannot be opened, or another program has it open to write."""
        self._path = path
        self._sqlite = sqlite
        with workspace.locate(path) as place, OsErrors(path):
            # A lock that keeps SQLite's readers out at the end is for those who may write.
            access = os.O_RDWR if sqlite else os.O_RDONLY
            self.descriptor = os.open(place.name, access | _FLAGS, dir_fd=place.folder)
        try:
            self._take()
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def status(self) -> os.stat_result:
        """Of the file that is held."""
        return os.fstat(self.descriptor)

    def keep_readers_out(self) -> None:
        """The last step before the rename: SQLite's readers end first. One with a write-ahead log is a reader always.

        Raises:
            ToolError: they do not.
        """
        if not self._sqlite:
            return
        until = time.monotonic() + _READERS_END_SECONDS
        while not (self._lock(fcntl.F_WRLCK, _PENDING, 1) and self._lock(fcntl.F_WRLCK, _SHARED, _SHARED_BYTES)):
            if time.monotonic() > until:
                raise self._in_use()
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _take(self) -> None:
        with OsErrors(self._path):
            if not stat.S_ISREG(self.status().st_mode):
                raise ToolError(f"{self._path} is no file.")
            if not (self._take_sqlite() if self._sqlite else self._take_duckdb()):
                raise self._in_use()

    def _take_sqlite(self) -> bool:
        return self._lock(fcntl.F_WRLCK, _RESERVED, 1)

    def _take_duckdb(self) -> bool:
        """A reader's lock on all of it, which keeps writers out; the other lock keeps a second `execute` out."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return self._lock(fcntl.F_RDLCK, 0, 0)

    def _lock(self, kind: int, start: int, length: int) -> bool:
        """Whether it could be had at once. A length of 0 is all that follows."""
        wanted = struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0)
        with OsErrors(self._path):
            try:
                fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, wanted)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EACCES}:
                    raise
                return False
        return True

    def _in_use(self) -> ToolError:
        return ToolError(
            f"{self._path} is open in another program, which could lose what it writes: end that program, or have it "
            "close the database, then do this again. Nothing was changed."
        )
