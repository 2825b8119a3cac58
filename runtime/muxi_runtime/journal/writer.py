"""Appends to the chain in SQLite. Blocking, for one thread at a time; several processes may each have one."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.anchor import Anchor, AnchorFile, anchor_path
from muxi_runtime.journal.chain import prepare, seal, text_of
from muxi_runtime.journal.contract import GENESIS, Draft, Event
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.store.sqlite import BUSY_MILLISECONDS, connect
from muxi_runtime.store.times import utc_text

__all__ = ["HEAD_LOST", "ChainWriter", "append_once"]

HEAD_LOST = "journal.head_lost"
"""Kind of the event that says: what the anchor knew as newest was gone when the journal was opened."""

_INSERT = (
    'INSERT INTO journal (seq, "at", kind, principal, task, "call", data, previous, hash)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FLUSH_SECONDS = 1.0
"""The anchor is brought to the disk this often, and when the writer closes."""
_PAGES_OF_COMMIT = 4
"""Pages that each commit writes anew, about, beside one for each event."""
_CHECKPOINT_PAGES = 5000
"""The write-ahead log goes into the database after so many, about, at a time of our choosing: it waits for the disk."""
_LONG_LOG_PAGES = 3 * _CHECKPOINT_PAGES
"""Nobody appends during a checkpoint after so many, about, so that the log can start anew: 60 MiB of it."""


class ChainWriter:
    """One connection. After a failure it is closed; the next append opens a new one."""

    def __init__(self, path: Path, settings: JournalSettings) -> None:
        self._path = path
        self._sync = settings.sync
        self._anchor = AnchorFile(anchor_path(path))
        self._connection: sqlite3.Connection | None = None
        self._flushed = time.monotonic()
        self._since_checkpoint = 0
        self._since_emptied = 0
        self._is_patient = True
        self._head: Anchor | None = None

    def open(self) -> None:
        """Connect, and record in the chain if its end was lost since it was last written.

        Raises:
            JournalError: the database or the head file cannot be used.
        """
        self._append(())

    def append_now(self, drafts: Sequence[Draft]) -> list[Event] | None:
        """As `append`, for a thread that must not wait: `None`, and nothing kept, where it would have to.

        It writes to the kernel's memory only. A `Tidier` does what waits for the disk, and at times `empty_log`.

        Raises:
            JournalError: as `append`.
        """
        if self._connection is None or self._head is None or self._sync == "full":
            return None
        return self._append(drafts, patient=False)

    @property
    def wants_tidying(self) -> bool:
        """Whether a `Tidier` has something to do."""
        return self._since_checkpoint >= _CHECKPOINT_PAGES or time.monotonic() - self._flushed >= _FLUSH_SECONDS

    @property
    def has_long_log(self) -> bool:
        """Whether the write-ahead log is so long that it has to start anew: see `empty_log`."""
        return self._since_emptied >= _LONG_LOG_PAGES

    def hand_over(self) -> tuple[Anchor, bool]:
        """What a `Tidier` is to do now: bring this head to the disk, and the log too if it is long.

        Raises:
            RuntimeError: nothing was appended yet.
        """
        if self._head is None:
            raise RuntimeError("there is nothing to tidy")
        is_long, self._flushed = self._since_checkpoint >= _CHECKPOINT_PAGES, time.monotonic()
        if is_long:
            self._since_checkpoint = 0
        return self._head, is_long

    def move_anchor(self) -> None:
        """Have the anchor at the newest event, in the kernel's memory. It is left behind while a `Tidier` is at it.

        Raises:
            JournalError: it could not be moved.
        """
        if self._head is not None:
            self._anchor.move(self._head, flush=False, wait=False)

    def empty_log(self) -> None:
        """Bring the write-ahead log into the database while nobody here appends, so that it starts anew. Blocks."""
        if self._connection is not None:
            self._checkpoint(self._connection)

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Commit prepared drafts, all or none; durable when it returns.

        Raises:
            JournalError: none of them was kept, or that cannot be told.
        """
        events = self._append(drafts)
        if self._connection is not None and self._since_checkpoint >= _CHECKPOINT_PAGES:
            self._checkpoint(self._connection)
        return events or []

    def close(self) -> None:
        """Bring the anchor to the disk and close. Does nothing when closed already.

        Raises:
            JournalError: the head file cannot be written.
        """
        if self._head is not None:
            head, self._head = self._head, None
            self._anchor.move(head, flush=True)
        self._discard()

    def _append(self, drafts: Sequence[Draft], *, patient: bool = True) -> list[Event] | None:
        try:
            connection = self._connect()
            lost: Draft | None = None
            if not self._begin(connection, patient=patient):
                return None
            # Read inside of the transaction: another process may have appended, and the chain must not fork.
            head = _head(connection)
            if self._head is None:
                lost = self._lost(connection, head)
            kept = [lost, *drafts] if lost else drafts
            events = _chain(head, kept)
            connection.executemany(_INSERT, list(map(_row, events, kept)))
            connection.execute("COMMIT")
            self._since_checkpoint += _PAGES_OF_COMMIT + len(events)
            self._since_emptied += _PAGES_OF_COMMIT + len(events)
            newest = Anchor(events[-1].seq, events[-1].hash) if events else head
            self._remember(newest, lost=lost is not None, patient=patient)
        except sqlite3.Error as error:
            self._discard()
            raise JournalError(
                f"The journal {self._path} could not be written: {error}. Nothing goes on without it.",
                remedy="Make room on the disk or mend the file; the next event is tried anew.",
            ) from error
        except BaseException:
            self._discard()
            raise
        return events[1:] if lost else events

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path, sync=self._sync)
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._is_patient = True
        return self._connection

    def _begin(self, connection: sqlite3.Connection, *, patient: bool) -> bool:
        """Take the write lock; false where another has it and we are not to wait."""
        if patient is not self._is_patient:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS if patient else 0:d}")
            self._is_patient = patient
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if patient or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        self._since_checkpoint = self._since_emptied = 0
        with suppress(sqlite3.Error):  # the log grows until the next; what is in it counts all the same
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _lost(self, connection: sqlite3.Connection, head: Anchor) -> Draft | None:
        """What to record if the chain does not reach, or does not fit, its anchor."""
        anchor = self._anchor.read()
        if anchor is None:
            reason = "missing" if head.seq else ""
        elif anchor.seq == 0:
            reason = ""
        elif anchor.seq > head.seq:
            reason = "cut"
        else:
            found = connection.execute("SELECT hash FROM journal WHERE seq = ?", (anchor.seq,)).fetchone()
            reason = "" if found and found[0] == anchor.hash else "differs"
        if not reason:
            return None
        known = {"seq": anchor.seq, "hash": anchor.hash} if anchor else None
        return Draft(kind=HEAD_LOST, data={"reason": reason, "anchor": known, "found": head.seq})

    def _remember(self, head: Anchor, *, lost: bool, patient: bool) -> None:
        # Also at the start of an empty journal: from then on a missing file means that somebody removed it.
        self._head = head
        flush = patient and time.monotonic() - self._flushed >= _FLUSH_SECONDS
        self._anchor.move(head, flush=flush, backwards=lost, wait=patient)
        if flush:
            self._flushed = time.monotonic()

    def _discard(self) -> None:
        connection, self._connection, self._head = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it is given up; closing rolls an open transaction back
                connection.close()


def append_once(path: Path, settings: JournalSettings, draft: Draft) -> Event:
    """Append one event from a short-lived process, such as a command; another may have the journal open.

    Raises:
        JournalError: it could not be made durable.
    """
    writer = ChainWriter(path, settings)
    writer.open()
    try:
        return writer.append([prepare(draft, max_bytes=settings.event_bytes)])[0]
    finally:
        writer.close()


def _head(connection: sqlite3.Connection) -> Anchor:
    found = connection.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return Anchor(*found) if found else Anchor(0, GENESIS)


def _chain(head: Anchor, drafts: Sequence[Draft]) -> list[Event]:
    at = utc_text()
    events: list[Event] = []
    seq, previous = head.seq, head.hash
    for draft in drafts:
        seq += 1
        event = seal(draft, seq=seq, at=at, previous=previous)
        previous = event.hash
        events.append(event)
    return events


def _row(event: Event, draft: Draft) -> tuple[int | str | None, ...]:
    return (
        event.seq,
        event.at,
        event.kind,
        event.principal,
        event.task,
        event.call,
        text_of(draft),
        event.previous,
        event.hash,
    )
