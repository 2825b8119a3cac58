"""Fan-out of appended events to whoever listens, each with a bounded buffer of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.contract import Event

__all__ = ["Listeners"]


class _Listener:
    """One stream of events; an async iterator."""

    def __init__(self, send: MemoryObjectSendStream[Event], receive: MemoryObjectReceiveStream[Event]) -> None:
        self.send = send
        self.receive = receive
        self.fell_behind = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self.receive.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            if self.fell_behind:
                raise JournalError(
                    "This listener was too slow and lost its stream of events.",
                    remedy="Read on from the last seq with `muxi-runtime journal search --after SEQ`.",
                ) from None
            raise StopAsyncIteration from None


class Listeners:
    """Publishing never waits: a listener whose buffer is full is dropped, and told so."""

    def __init__(self, buffer_events: int) -> None:
        self._buffer_events = buffer_events
        self._listeners: set[_Listener] = set()
        self._closed = False

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Events published from now on; the iteration ends when the journal closes.

        The iterator raises JournalError once its listener fell behind by more than the buffer.
        """
        send, receive = anyio.create_memory_object_stream[Event](self._buffer_events)
        listener = _Listener(send, receive)
        with send, receive:
            if self._closed:
                send.close()
            self._listeners.add(listener)
            try:
                yield listener
            finally:
                self._listeners.discard(listener)

    def publish(self, events: Iterable[Event]) -> None:
        """Hand the events, in their order, to every listener."""
        for event in events:
            for listener in list(self._listeners):
                try:
                    listener.send.send_nowait(event)
                except anyio.WouldBlock:
                    listener.fell_behind = True
                    self._drop(listener)

    def close(self) -> None:
        """End every stream after what it still holds."""
        self._closed = True
        for listener in list(self._listeners):
            self._drop(listener)

    def _drop(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        listener.send.close()
