"""One answer over HTTP: as JSON if it comes soon, else as an event stream that is kept alive until it does.

As the transport has it (2026-07-28, Streamable HTTP): a client that leaves has cancelled its request. Most answers come
within milliseconds, so nobody watches over them at first: one task looks now and then which have taken longer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

import anyio

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive, Send

__all__ = ["AnswerStream", "AnswerStreams"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
ALIVE_SECONDS = 15.0
"""Proxies end a connection that nothing comes over for a minute or so."""
EVENT_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class AnswerStream:
    """The way back of one request whose body has been read.

    Attributes:
        was_seen: whether it was under way at the last look.
    """

    def __init__(self, receive: Receive, send: Send, alive_seconds: float, among: set[AnswerStream]) -> None:
        """In its block it is one of those `among` which it is."""
        self._alive_seconds = alive_seconds
        self._among = among
        self._receive = receive
        self._send = send
        self._begun = False
        self._answer: tuple[int, bytes] | None = None
        self._block = anyio.CancelScope()
        """Not the task is cancelled: that would go through every shield in the block."""
        self.was_seen = False
        self._watch: anyio.CancelScope | None = None
        self._watched: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        """Begin the block."""
        self._among.add(self)
        self._block.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Send what the block ended with, if it ended with anything."""
        self._among.discard(self)
        is_over = self._block.__exit__(kind, error, trace) or kind is None
        if is_over:
            await self._finish()
        return is_over

    async def _finish(self) -> None:
        if self._watch is not None and self._watched is not None:
            self._watch.cancel()
            await self._watched.wait()
        if self._answer is not None:
            await self._send_answer(*self._answer)

    def end_with(self, status: int, text: bytes) -> None:
        """What to answer, as JSON. The status counts only where no event stream has begun."""
        self._answer = (status, text)

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches over it already."""
        return self._watch is not None

    def expect_watch(self) -> None:
        """From now on it waits at its end for `watch`, which has to be run."""
        self._watch, self._watched = anyio.CancelScope(), anyio.Event()

    async def watch(self) -> None:
        """Keep the connection alive, and cancel the block if the client leaves."""
        try:
            with self._watch or anyio.CancelScope():
                while not await self._leaves():
                    await self._begin()
                    await self._send(
                        {"type": "http.response.body", "body": b": still at it\r\n\r\n", "more_body": True}
                    )
                self._block.cancel()
        except Exception:
            # The boundary between one client and all others, who are watched over in the same group.
            logger.exception("an answer could not be kept alive, and its call is cancelled")
            self._block.cancel()
        finally:
            if self._watched is not None:
                self._watched.set()

    async def _leaves(self) -> bool:
        with anyio.move_on_after(self._alive_seconds):
            while (await self._receive())["type"] != "http.disconnect":
                pass
            return True
        return False

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": EVENT_HEADERS})

    async def _send_answer(self, status: int, text: bytes) -> None:
        if self._begun:
            await self._send({"type": "http.response.body", "body": b"event: message\r\ndata: %b\r\n\r\n" % text})
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": text})


class AnswerStreams:
    """Those under way."""

    def __init__(self, alive_seconds: float = ALIVE_SECONDS) -> None:
        """Something comes over each connection after so many seconds at the latest."""
        self._alive_seconds = alive_seconds
        self._open: set[AnswerStream] = set()

    def open(self, receive: Receive, send: Send) -> AnswerStream:
        """A block that ends with an answer; it is cancelled, and nothing sent, if the client leaves."""
        return AnswerStream(receive, send, self._alive_seconds, self._open)

    async def watch(self) -> None:
        """Watch over those that take long; runs for ever."""
        async with anyio.create_task_group() as group:
            while True:
                await anyio.sleep(LOOK_SECONDS)
                for stream in self._open:
                    if stream.was_seen and not stream.is_watched:
                        stream.expect_watch()
                        group.start_soon(stream.watch)
                    stream.was_seen = True
