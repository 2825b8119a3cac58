"""Messages of HTTP/1.1 out of a channel: heads, and what their bodies hold, whichever way they are framed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from muxi_sandbox.egress.chunks import ChunkedBody
from muxi_sandbox.egress.heads import END
from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from muxi_sandbox.egress.channels import Channel

__all__ = ["LAST_CHUNK", "Inbox", "chunk"]

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; nothing for no data, which would end it."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class Inbox:
    """Reads one channel. Everything raises OSError where it breaks off."""

    def __init__(self, channel: Channel, first: bytes = b"") -> None:
        self._channel = channel
        self._rest = first

    async def some(self) -> bytes:
        """Some bytes; empty at the end."""
        rest, self._rest = self._rest, b""
        return rest or await self._channel.receive()

    async def wait(self) -> bool:
        """Wait for the first bytes; false if none come any more."""
        self._rest = self._rest or await self._channel.receive()
        return bool(self._rest)

    async def head(self, limit: int, name: str) -> bytes:
        """Up to the empty line that ends it, and without.

        Raises:
            RefusedConnectionError: with the rule `limit`; `name` says whose it is.
        """
        data = bytearray()
        while (end := data.find(END)) < 0:
            if len(data) > limit:
                raise RefusedConnectionError("limit", f"The head of {name} is longer than {limit} bytes.")
            data += await self._more()
        self._rest = bytes(data[end + len(END) :])
        return bytes(data[:end])

    async def counted(self, left: int) -> AsyncIterator[bytes]:
        """So many bytes."""
        while left:
            data = await self._more()
            part, self._rest = data[:left], data[left:]
            left -= len(part)
            yield part

    async def chunked(self) -> AsyncIterator[bytes]:
        """What a chunked body holds; its trailers are left out.

        Raises:
            RefusedConnectionError: with the rule `request`: it is not framed as it should be.
        """
        body = ChunkedBody(with_content=True)
        while not body.is_over:
            data = await self._more()
            size = body.feed(data)
            self._rest = data[size:]
            yield body.take()

    async def until_close(self) -> AsyncIterator[bytes]:
        """All that comes."""
        while data := await self.some():
            yield data

    async def _more(self) -> bytes:
        data = await self.some()
        if not data:
            raise ConnectionResetError("it ended in the middle of a message")
        return data
