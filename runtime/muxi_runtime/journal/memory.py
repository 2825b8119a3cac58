"""The journal in memory, for tests of what is above the seam. Keeps the chain like the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from anyio.lowlevel import checkpoint

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.chain import prepare, seal
from muxi_runtime.journal.contract import GENESIS, Draft, Event
from muxi_runtime.journal.listeners import Listeners
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.store.times import utc_text

__all__ = ["MemoryJournal"]


class MemoryJournal:
    """A `Journal`; an async context manager.

    Attributes:
        events: what was appended, in order.
        failure: set it, and every append raises it: a disk that is full.
    """

    def __init__(self, settings: JournalSettings | None = None) -> None:
        self._settings = settings or JournalSettings()
        self._listeners = Listeners(self._settings.listener_events)
        self._open = False
        self.events: list[Event] = []
        self.failure: JournalError | None = None

    async def __aenter__(self) -> Self:
        """Open it."""
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the listeners."""
        self._open = False
        self._listeners.close()

    async def append(self, draft: Draft) -> Event:
        """As `Journal.append`."""
        prepared = prepare(draft, max_bytes=self._settings.event_bytes)
        await checkpoint()
        if not self._open:
            raise JournalError("The journal is closed, so this event was not kept.")
        if self.failure is not None:
            raise self.failure
        previous = self.events[-1].hash if self.events else GENESIS
        event = seal(prepared, seq=len(self.events) + 1, at=utc_text(), previous=previous)
        self.events.append(event)
        self._listeners.publish([event])
        return event

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """As `Journal.listen`."""
        return self._listeners.listen()
