"""The production journal: SQLite in WAL mode, one writer thread, group commits.

Appends that arrive while a commit is under way share the next one, so durability costs one commit per group.
The thread belongs to a task: it ends, with all that was queued written, when the journal's block is left.

An append that finds nobody before it, and need not wait for the disk, is written at once, on the event loop: handing it
to the thread and back takes four times as long as writing it. One that took long sends the next ones to the thread.
What it leaves in the kernel's memory goes to the disk beside the next ones (`tidying`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import resource
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio import from_thread, to_thread
from anyio.abc import TaskGroup

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.chain import prepare
from muxi_runtime.journal.contract import Draft, Event
from muxi_runtime.journal.listeners import Listeners
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.tidying import Tidier
from muxi_runtime.journal.writer import ChainWriter

__all__ = ["SqliteJournal"]

logger = logging.getLogger(__name__)

MOST_TURNS = 4
"""Of the event loop that an append waits for others to join its commit, if each turn brings some."""
SLOW_SECONDS = 0.01
AFTER_SLOW_SECONDS = (0.25, 10.0)
"""For how long others are written by the thread after a slow one: at first, and at most where the next is slow, too."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One append that waits."""

    draft: Draft
    event: Event | None = None
    error: JournalError | None = None
    settled: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Done when it was written, or was not; cancelled where nobody waits any more."""

    def settle(self) -> None:
        """It was written, or was not."""
        if not self.settled.done():
            self.settled.set_result(None)


class _Queue:
    """Hands groups of entries from the event loop to the writer thread."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._emptying = False
        self._entries: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, entry: _Entry) -> None:
        with self._changed:
            if self._closed:
                raise _closed_error()
            self._entries.append(entry)
            self._changed.notify()

    def empty_log(self) -> None:
        """Have the thread empty the write-ahead log when it has nothing better to do."""
        with self._changed:
            self._emptying = True
            self._changed.notify()

    def take(self) -> list[_Entry] | None:
        """The next group; waits for one. Empty when it is time to empty the log, `None` when closed and drained."""
        with self._changed:
            while not self._entries and not self._closed and not self._emptying:
                self._changed.wait()
            if not self._entries:
                self._emptying = False
                return None if self._closed else []
            return [self._entries.popleft() for _ in range(min(self._group, len(self._entries)))]

    @property
    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


class SqliteJournal:
    """A `Journal` on a database that `store.engine.open_store` made. An async context manager; entered once.

    Several processes may have the same journal open. Listeners hear what this one appends.
    """

    def __init__(self, path: Path, settings: JournalSettings | None = None) -> None:
        self._settings = settings or JournalSettings()
        self._writer = ChainWriter(path, self._settings)
        self._tidier = Tidier(path)
        self._tidies = ThreadPoolExecutor(1, "journal-tidy")
        self._tidied: asyncio.Future[None] | None = None
        """What tidies up just now."""
        self._queue = _Queue(self._settings.batch_events)
        self._room = anyio.Semaphore(self._settings.queue_events, fast_acquire=True)
        self._listeners = Listeners(self._settings.listener_events)
        self._ended = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._with_thread = 0
        """What the writer thread was given and has not given back: while there is any, the writer is its own."""
        self._slow_until = -math.inf
        self._slow_for = 0.0
        self._gathered: list[_Entry] = []
        """What is written next on the event loop, in one commit."""

    async def __aenter__(self) -> Self:
        """Open it and start the writer.

        Raises:
            JournalError: the database or the head file beside it cannot be used.
        """
        await to_thread.run_sync(self._writer.open)
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is queued, then close. Bounded by the database's own time-out for one failing commit."""
        self._queue.close()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
            await to_thread.run_sync(self._stop_tidying)
        if self._tasks is not None:
            # The block's own exception passes by as it is, not as a group.
            await self._tasks.__aexit__(None, None, None)

    async def append(self, draft: Draft) -> Event:
        """As `Journal.append`. Cancelled while it waits, the event may have been written or not."""
        if self._tasks is None:
            raise _closed_error()
        prepared = prepare(draft, max_bytes=self._settings.event_bytes)
        if not self._with_thread and time.monotonic() >= self._slow_until:
            event = await self._append_together(prepared)
            if event is not None:
                return event
        await self._room.acquire()
        entry = _Entry(prepared)
        try:
            self._queue.put(entry)
        except JournalError:
            self._room.release()
            raise
        self._with_thread += 1
        await entry.settled
        if entry.event is None:
            raise _copy(entry.error or _closed_error()) from entry.error
        return entry.event

    async def _append_together(self, draft: Draft) -> Event | None:
        """Write it at once, in one commit with what others append meanwhile; `None` if the thread has to."""
        entry = _Entry(draft)
        self._gathered.append(entry)
        if len(self._gathered) == 1:
            self._write_soon(MOST_TURNS)
        await entry.settled
        if entry.error is not None:
            raise _copy(entry.error) from entry.error
        return entry.event

    def _write_soon(self, turns: int) -> None:
        """Write when all that is ready to run now has run, or later if that brought more, as it does under load."""
        asyncio.get_running_loop().call_soon(self._write_unless_more, turns, len(self._gathered))

    def _write_unless_more(self, turns: int, before: int) -> None:
        if turns > 1 and before < len(self._gathered) < self._settings.batch_events:
            self._write_soon(turns - 1)
        else:
            self._write_gathered()

    def _write_gathered(self) -> None:
        group, self._gathered = self._gathered, []
        try:
            self._append_now(group)
        except JournalError as error:
            _refuse(group, error)
        except BaseException:
            # It may have been written: an entry with neither event nor error would be written by the thread as well.
            _refuse(group, _unknown_error())
            raise
        finally:
            for entry in group:
                entry.settle()

    def _append_now(self, group: Sequence[_Entry]) -> None:
        """Give each its event; none where the thread has to write them."""
        if self._queue.is_closed:
            raise _closed_error()
        if self._with_thread:
            return
        started, waits = time.monotonic(), _waits()
        events = self._writer.append_now([entry.draft for entry in group])
        if events is None:
            return
        for entry, event in zip(group, events, strict=True):
            entry.event = event
        if time.monotonic() - started > SLOW_SECONDS and _waits() > waits:
            self._leave_to_thread()
        self._listeners.publish(events)
        if self._tidied is None and self._writer.wants_tidying:
            head, is_long = self._writer.hand_over()
            tidy = partial(self._tidier.tidy, head, checkpoint=is_long)
            self._tidied = asyncio.get_running_loop().run_in_executor(self._tidies, tidy)
            self._tidied.add_done_callback(self._end_tidying)

    def _leave_to_thread(self) -> None:
        now, (first, most) = time.monotonic(), AFTER_SLOW_SECONDS
        is_slow_still = now - self._slow_until < most
        self._slow_for = min(2 * self._slow_for, most) if is_slow_still else first
        self._slow_until = now + self._slow_for

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """As `Journal.listen`."""
        return self._listeners.listen()

    async def _run(self) -> None:
        try:
            # Shielded: what is ended because of a cancellation is journalled too, until the block is left.
            with anyio.CancelScope(shield=True):
                # A limiter of its own: the thread lives as long as the journal and must not take another's place.
                await to_thread.run_sync(self._write_groups, limiter=anyio.CapacityLimiter(1))
        finally:
            self._queue.close()
            while group := self._queue.take():
                self._fail(group, _closed_error())
            self._listeners.close()
            self._ended.set()

    def _write_groups(self) -> None:
        """The writer thread."""
        try:
            while (group := self._queue.take()) is not None:
                if group:
                    self._write(group)
                else:
                    self._empty_log()
        finally:
            self._writer.close()

    def _write(self, group: Sequence[_Entry]) -> None:
        try:
            events = self._writer.append([entry.draft for entry in group])
        except JournalError as error:
            from_thread.run_sync(self._fail, group, error)
        except BaseException:
            from_thread.run_sync(self._fail, group, _closed_error())
            raise
        else:
            from_thread.run_sync(self._settle, group, events)

    def _end_tidying(self, tidied: asyncio.Future[None]) -> None:
        self._tidied = None
        if not tidied.cancelled() and (error := tidied.exception()) is not None:
            logger.error("the journal's way to the disk is behind", exc_info=error)
        if self._with_thread or self._queue.is_closed:
            return
        try:
            self._writer.move_anchor()
        except JournalError:
            logger.exception("the journal's head file is behind")
        if self._writer.has_long_log:
            self._with_thread += 1
            self._queue.empty_log()

    def _stop_tidying(self) -> None:
        self._tidies.shutdown()
        self._tidier.close()

    def _empty_log(self) -> None:
        try:
            self._writer.empty_log()
        finally:
            from_thread.run_sync(self._take_back, 1)

    def _take_back(self, number: int) -> None:
        self._with_thread -= number

    def _settle(self, group: Sequence[_Entry], events: Sequence[Event]) -> None:
        for entry, event in zip(group, events, strict=True):
            entry.event = event
            entry.settle()
            self._room.release()
        self._take_back(len(group))
        self._listeners.publish(events)

    def _fail(self, group: Sequence[_Entry], error: JournalError) -> None:
        for entry in group:
            entry.error = error
            entry.settle()
            self._room.release()
        self._take_back(len(group))


def _waits() -> int:
    """How often this thread has waited so far, for a disk for instance; others' turns on its processor do not count."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _refuse(group: Sequence[_Entry], error: JournalError) -> None:
    """Tell those of it that have no event yet."""
    for entry in group:
        if entry.event is None:
            entry.error = error


def _unknown_error() -> JournalError:
    return JournalError(
        "Whether this event was kept cannot be told.",
        remedy="The runtime's log says why; `muxi-runtime journal verify` tells whether the journal is sound.",
    )


def _closed_error() -> JournalError:
    return JournalError("The journal is closed, so this event was not kept.")


def _copy(error: JournalError) -> JournalError:
    # Each waiter gets an exception of its own: a shared one would collect all their tracebacks.
    return JournalError(str(error.args[0]), remedy=error.remedy)
