"""What the proxy reads and writes where it reads along: bytes of a socket, or of TLS on it."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio

from muxi_sandbox.egress.relay import receive, send, send_last

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["Channel", "PlainChannel", "TlsChannel"]

READ_BYTES = 64 * 2**10
CLOSE_SECONDS = 1
T = TypeVar("T")


class Channel(Protocol):
    """Both methods raise OSError where the other side is gone or speaks nonsense."""

    async def receive(self) -> bytes:
        """Some bytes; empty at the end."""

    async def send(self, data: bytes) -> None:
        """All of the data."""

    async def send_last(self, data: bytes) -> None:
        """All of the data, and the end of it, so that even who is still sending reads it. Bounded; never raises."""


class PlainChannel:
    """A socket that does not block."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def receive(self) -> bytes:
        """See `Channel.receive`."""
        return await receive(self._socket, READ_BYTES)

    async def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        await send(self._socket, data)

    async def send_last(self, data: bytes) -> None:
        """See `Channel.send_last`."""
        await send_last(self._socket, data)


class TlsChannel:
    """TLS on a socket that does not block, from either side. One task may read while another writes."""

    def __init__(
        self,
        connection: socket.socket,
        context: ssl.SSLContext,
        *,
        name: str | None = None,
        first: bytes = b"",
    ) -> None:
        """`name` is whom the other side has to be; `None`: it is the client. `first` is what it sent already."""
        self._socket = connection
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._in.write(first)
        self._tls = context.wrap_bio(self._in, self._out, server_side=name is None, server_hostname=name)
        self._writing = anyio.Lock()

    async def handshake(self) -> None:
        """To be done first.

        Raises:
            ssl.SSLCertVerificationError: the other side is not who it should be.
            OSError: it failed.
        """
        await self._do(self._tls.do_handshake)

    async def receive(self) -> bytes:
        """See `Channel.receive`."""
        try:
            return await self._do(lambda: self._tls.read(READ_BYTES))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        rest = memoryview(data)
        while rest:
            rest = rest[await self._do(partial(self._tls.write, rest)) :]

    async def send_last(self, data: bytes) -> None:
        """See `Channel.send_last`."""
        with suppress(OSError), anyio.move_on_after(CLOSE_SECONDS):
            if data:
                await self.send(data)
            with suppress(ssl.SSLError):  # it wants the other side's answer, which nobody waits for
                self._tls.unwrap()
            await send_last(self._socket, self._out.read())

    async def _do(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await receive(self._socket, READ_BYTES)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        async with self._writing:
            if data := self._out.read():
                await send(self._socket, data)
