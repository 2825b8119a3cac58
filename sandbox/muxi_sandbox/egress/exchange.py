"""Requests and responses on one connection that is read along: each request is checked anew, and nothing else passes.

    request ─▶ for this host? ─▶ placeholders ─▶ values ─▶ host ─▶ response ─▶ values ─▶ placeholders ─▶ sandbox

One request at a time: the next is read when the answer to the last is over.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from muxi_sandbox.egress.bodies import LAST_CHUNK, Inbox, chunk
from muxi_sandbox.egress.duplex import Duplex
from muxi_sandbox.egress.heads import END, named_values, read_head
from muxi_sandbox.egress.origin import origin_request
from muxi_sandbox.egress.placeholders import Watch
from muxi_sandbox.egress.refusal import RefusedConnectionError
from muxi_sandbox.egress.responses import ANSWER_HEAD_BYTES, CHUNKED, UNTIL_CLOSE, parse_response
from muxi_sandbox.egress.websocket import HostFrames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from muxi_sandbox.egress.channels import Channel
    from muxi_sandbox.egress.contract import Destination
    from muxi_sandbox.egress.heads import Head
    from muxi_sandbox.egress.masking import Mask
    from muxi_sandbox.egress.origin import OriginRequest
    from muxi_sandbox.egress.relay import Meter
    from muxi_sandbox.egress.responses import Response
    from muxi_sandbox.egress.settings import EgressSettings
    from muxi_sandbox.egress.substitution import Substitution

    Look = Callable[[bytes], Awaitable[bytes]]
    """What of some bytes may go on; may raise RefusedConnectionError."""

__all__ = ["Exchange"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
READABLE = {"", "identity"}


class _HostEndedError(OSError):
    """The host takes no more; what it said of that may still be read."""


class Exchange:
    """Runs once. `open_host` connects; it is called before the first request goes on."""

    def __init__(
        self,
        client: Channel,
        open_host: Callable[[], Awaitable[Channel]],
        destination: Destination,
        substitution: Substitution,
        settings: EgressSettings,
        meter: Meter,
        first: bytes = b"",
    ) -> None:
        self._client = client
        self._open_host = open_host
        self._destination = destination
        self._substitution = substitution
        self._settings = settings
        self._meter = meter
        self._from_client = Inbox(client, first)
        self._to_host: Channel
        self._from_host: Inbox | None = None
        self._is_readable = substitution.reads_answers
        self.is_answering = False
        """Whether a part of a host's answer went to the client, after which none of our own can."""

    async def run(self, first: Head | None = None) -> None:
        """Until either side wants no more. `first` is a head that was read already.

        Raises:
            RefusedConnectionError: a request or an answer is not passed on.
            OSError: a side broke.
        """
        head = first or await self._next_head()
        while head is not None and await self._one(head):
            head = await self._next_head()

    async def _next_head(self) -> Head | None:
        if not await self._client_goes_on():
            return None
        self.is_answering = False
        seconds = self._settings.head_seconds
        try:
            with anyio.fail_after(seconds):
                return read_head(await self._from_client.head(self._settings.head_bytes, "a request"))
        except TimeoutError:
            raise RefusedConnectionError(
                "time", f"No whole request came within egress.head_seconds of {seconds:g}."
            ) from None

    async def _client_goes_on(self) -> bool:
        """Wait for the next request; false if either side ends first."""
        if self._from_host is None:
            return await self._from_client.wait()
        goes_on = False
        async with anyio.create_task_group() as group:
            # A host that closes while nobody asks would swallow the next request.
            group.start_soon(self._host_ends, self._from_host, group.cancel_scope)
            with suppress(OSError):
                goes_on = await self._from_client.wait()
            group.cancel_scope.cancel()
        return goes_on

    @staticmethod
    async def _host_ends(host: Inbox, scope: anyio.CancelScope) -> None:
        with suppress(OSError):
            await host.wait()
        scope.cancel()

    async def _one(self, head: Head) -> bool:
        """Whether another may follow."""
        asked = origin_request(head, self._destination)
        await self._substitution.renew()
        request = await self._substitution.head(asked)
        if self._from_host is None:
            self._to_host = await self._open_host()
            self._from_host = Inbox(self._to_host)
        if asked.expects:
            await self._client.send(CONTINUE)
        is_whole = await self._sent(request)
        response = await self._response(request, self._from_host)
        if response.is_upgrade:
            await self._beyond_http(self._from_host)
        return is_whole and response.keeps and request.keeps

    async def _sent(self, request: OriginRequest) -> bool:
        """Whether the host took all of it."""
        try:
            await self._send_request(request)
        except _HostEndedError:
            return False
        return True

    async def _send_request(self, request: OriginRequest) -> None:
        """Head and body, with values in it where they may be."""
        parts = self._body_of(request)
        if not self._substitution.may_be_in_body or request.length == 0:
            await self._stream_request(request, b"", parts)
            return
        data = bytearray()
        async for part in parts:
            data += part
            if len(data) > self._settings.secret_body_bytes:
                await self._stream_request(request, bytes(data), parts)
                return
        kind = ", ".join(named_values(request.headers, "content-type"))
        body = await self._substitution.body(bytes(data), kind)
        if len(body) > len(data) + self._settings.secret_body_bytes:
            raise RefusedConnectionError(
                "limit", "With its secrets a body is longer than egress.secret_body_bytes allows."
            )
        head = request.onward(length=len(body), keeps=request.keeps, readable=self._is_readable)
        await self._up(head + body)

    def _body_of(self, request: OriginRequest) -> AsyncIterator[bytes]:
        if request.length is None:
            return self._from_client.chunked()
        return self._from_client.counted(request.length)

    async def _stream_request(self, request: OriginRequest, first: bytes, parts: AsyncIterator[bytes]) -> None:
        """A body in which nothing is replaced."""
        watch = Watch()
        framed = chunk if request.length is None else bytes
        await self._up(request.onward(length=request.length, keeps=request.keeps, readable=self._is_readable))
        await self._watched(watch, first, framed)
        async for part in parts:
            await self._watched(watch, part, framed)
        if request.length is None:
            await self._up(LAST_CHUNK)

    async def _watched(self, watch: Watch, data: bytes, framed: Callable[[bytes], bytes]) -> None:
        if watch.sees(data):
            raise self._substitution.refuse_body()
        await self._up(framed(data))

    async def _response(self, request: OriginRequest, host: Inbox) -> Response:
        """Pass it on, and those that go before it."""
        mask = self._substitution.mask()
        while True:
            head = await host.head(ANSWER_HEAD_BYTES, "the host's answer")
            response = parse_response(head, request.method)
            if not response.is_informational:
                break
            await checkpoint()  # one read brings thousands of them
            if response.status != 100:  # noqa: PLR2004  # ours was sent already, and nobody waits for another
                await self._send_head(response, request, mask)
        if response.is_upgrade and response.upgrade.strip().lower() != request.upgrade:
            raise RefusedConnectionError("protocol", "The host goes over to another protocol unasked.")
        if mask is not None and response.length and response.encoding not in READABLE:
            raise RefusedConnectionError(
                "protocol",
                "The host compresses its answer though it was asked not to, so that it cannot be seen whether a secret "
                "comes back.",
            )
        await self._send_head(response, request, mask)
        await self._send_body(response, request, host, mask)
        return response

    async def _send_head(self, response: Response, request: OriginRequest, mask: Mask | None) -> None:
        lines = [f"HTTP/1.1 {response.status} {response.reason}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        if response.is_upgrade:
            lines += [f"Upgrade: {response.upgrade}", "Connection: Upgrade"]
        elif not response.is_informational:
            lines += _framing(response, request, is_masked=mask is not None)
            if not (response.keeps and request.keeps):
                lines.append("Connection: close")
        text = "\r\n".join(lines).encode("latin-1")
        self.is_answering = True
        await self._down((mask.whole(text) if mask else text) + END)

    async def _send_body(self, response: Response, request: OriginRequest, host: Inbox, mask: Mask | None) -> None:
        if not response.length:
            return
        framed = chunk if _is_chunked(response, request, is_masked=mask is not None) else bytes
        async for part in _body_of(response, host):
            await self._down(framed(mask.feed(part) if mask else part))
        if mask:
            await self._down(framed(mask.finish()))
        if framed is chunk:
            await self._down(LAST_CHUNK)

    async def _beyond_http(self, host: Inbox) -> None:
        """After an upgrade: a WebSocket. What must not come back is replaced; what must not go cuts it off."""
        up = partial(self._onward, self._from_client, self._up, self._watch_up(Watch()))
        down = partial(self._onward, host, self._down, self._watch_down())
        await Duplex(self._meter, self._settings.idle_seconds).run(up, down, down_ends_all=True)

    @staticmethod
    async def _onward(source: Inbox, send: Callable[[bytes], Awaitable[None]], look: Look) -> None:
        while data := await source.some():
            if passed := await look(data):
                await send(passed)

    def _watch_up(self, watch: Watch) -> Look:
        async def look(data: bytes) -> bytes:
            if watch.sees(data):
                raise self._substitution.refuse_body()
            return data

        return look

    def _watch_down(self) -> Look:
        if not self._substitution.reads_answers:
            return _as_it_is
        return HostFrames(self._fresh_mask).feed

    async def _fresh_mask(self) -> Mask | None:
        """With the values of now: such a connection may last for days."""
        await self._substitution.renew()
        return self._substitution.mask()

    async def _up(self, data: bytes) -> None:
        self._meter.count_up(len(data))
        try:
            await self._to_host.send(data)
        except OSError as error:
            raise _HostEndedError(*error.args) from error

    async def _down(self, data: bytes) -> None:
        self._meter.count_down(len(data))
        await self._client.send(data)


async def _as_it_is(data: bytes) -> bytes:
    return data


def _body_of(response: Response, host: Inbox) -> AsyncIterator[bytes]:
    if response.length == CHUNKED:
        return host.chunked()
    return host.until_close() if response.length == UNTIL_CLOSE else host.counted(response.length)


def _is_chunked(response: Response, request: OriginRequest, *, is_masked: bool) -> bool:
    """Whether the client gets it in chunks: what is masked may become longer or shorter."""
    return request.minor == "1" and (is_masked or response.length < 0)


def _framing(response: Response, request: OriginRequest, *, is_masked: bool) -> list[str]:
    if not response.length:
        if response.told_length and not is_masked:
            return [f"Content-Length: {response.told_length}"]
        # Without a body: of HEAD, 204 and 304 by themselves, of any other because it says so.
        return [] if response.told_length or response.length_is_implied else ["Content-Length: 0"]
    if _is_chunked(response, request, is_masked=is_masked):
        return ["Transfer-Encoding: chunked"]
    return [] if response.length < 0 or is_masked else [f"Content-Length: {response.length}"]
