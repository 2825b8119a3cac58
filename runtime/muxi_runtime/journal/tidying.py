"""Brings to the disk what appends left in the kernel's memory, beside them: on a connection of its own.

Both things wait for the disk, some ten milliseconds each time under load. Whoever appends must not wait with them.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from muxi_runtime.journal.anchor import Anchor, AnchorFile, anchor_path
from muxi_runtime.store.sqlite import connect

__all__ = ["Tidier"]


class Tidier:
    """Blocking, for one thread at a time; that of the appends may be another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._anchor = AnchorFile(anchor_path(path))
        self._connection: sqlite3.Connection | None = None

    def tidy(self, head: Anchor, *, checkpoint: bool) -> None:
        """Bring the anchor to the disk, at `head` or beyond, and if wished the write-ahead log into the database.

        Of the log it takes what is there at its beginning, so the log does not start anew while others append.

        Raises:
            JournalError: the anchor could not be written; what was appended is kept nevertheless.
        """
        self._anchor.move(head, flush=True)
        if checkpoint:
            try:
                if self._connection is None:
                    self._connection = connect(self._path, sync="normal")
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.Error:  # the log grows until the next; what is in it counts all the same
                self.close()

    def close(self) -> None:
        """Close its connection, if it has one; it may be used again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
