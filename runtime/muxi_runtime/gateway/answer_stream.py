"""One answer over HTTP: as JSON if it comes soon, else as an event stream that is kept alive until it does.

As the transport has it (2026-07-28, Streamable HTTP): a client that leaves has cancelled its request.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.types import Receive, Send

__all__ = ["AnswerStream"]

ALIVE_SECONDS = 15.0
"""Proxies end a connection that nothing comes over for a minute or so."""
EVENT_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class AnswerStream:
    """The way back of one request whose body has been read."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._begun = False
        self._answer: tuple[int, Mapping[str, Any]] | None = None

    @asynccontextmanager
    async def while_connected(self) -> AsyncIterator[None]:
        """Keep the connection alive for the block and then send what it ended with; cancel it if the client leaves."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, group.cancel_scope)
            yield
            group.cancel_scope.cancel()
        if self._answer is not None:
            await self._finish(*self._answer)

    def end_with(self, status: int, message: Mapping[str, Any]) -> None:
        """What to answer. The status counts only where no event stream has begun."""
        self._answer = (status, message)

    async def _watch(self, block: anyio.CancelScope) -> None:
        while True:
            with anyio.move_on_after(ALIVE_SECONDS):
                if (await self._receive())["type"] == "http.disconnect":
                    block.cancel()
                    return
                continue
            await self._begin()
            await self._send({"type": "http.response.body", "body": b": still at it\r\n\r\n", "more_body": True})

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": EVENT_HEADERS})

    async def _finish(self, status: int, message: Mapping[str, Any]) -> None:
        text = json.dumps(message, separators=(",", ":")).encode()
        if self._begun:
            await self._send({"type": "http.response.body", "body": b"event: message\r\ndata: %b\r\n\r\n" % text})
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": text})
