"""What a host sends over a WebSocket (RFC 6455), with what must not come back replaced: frames in, frames out.

A message may come in many frames and a frame in many pieces; all of one message is looked through as one text. A frame
that is not long is passed on in one piece, a longer one in several frames of the same message. Extensions were not
asked for, so that nothing is compressed.

Above: `exchange`. Below: `masking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from muxi_sandbox.egress.masking import Mask

__all__ = ["HostFrames", "frame"]

FINAL = 0x80
EXTENDED = 0x70
MASKED = 0x80
SHORT = 125
"""Bytes of a payload whose length stands in the second byte; control frames have no more."""
LENGTHS = {126: 2, 127: 8}
"""Bytes of a longer one's length, by what stands there instead."""
MESSAGES = frozenset({0, 1, 2})
CONTROLS = frozenset({8, 9, 10})
CONTINUATION = 0
WHOLE_BYTES = 64 * 2**10
"""Up to so many a frame is passed on in one piece."""


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """One frame as a server sends it."""
    first = opcode | (FINAL if final else 0)
    size = len(payload)
    if size <= SHORT:
        return bytes([first, size]) + payload
    code, width = (126, 2) if size < 2**16 else (127, 8)
    return bytes([first, code]) + size.to_bytes(width, "big") + payload


class HostFrames:
    """The frames of one connection, in order."""

    def __init__(self, mask: Callable[[], Awaitable[Mask | None]]) -> None:
        """`mask` is asked for at the beginning of each message, and for each control frame."""
        self._new_mask = mask
        self._mask: Mask | None = None
        self._data = b""
        self._left = 0
        """Bytes of the frame that is being read."""
        self._opcode = CONTINUATION
        self._is_final = True
        self._is_inside = False
        """Whether a message has begun and not ended."""
        self._unsaid: int | None = None
        """The opcode of the message, until a frame of it was passed on."""
        self._out = bytearray()

    async def feed(self, data: bytes) -> bytes:
        """What may go on now.

        Raises:
            RefusedConnectionError: it is no WebSocket, or a control frame has no room for what stands for a value.
        """
        self._data += data
        out = bytearray()
        while True:
            if not self._left:
                if not self._takes_head():
                    return bytes(out)
                if self._opcode in MESSAGES:
                    await self._begin()
            if self._opcode in CONTROLS:
                if len(self._data) < self._left:
                    return bytes(out)
                out += await self._control()
            else:
                out += self._message()
            if self._left:
                return bytes(out)

    def _takes_head(self) -> bool:
        """Read the head of a frame, if it is there."""
        data = self._data
        if len(data) < 2 or len(data) < 2 + LENGTHS.get(data[1], 0):  # noqa: PLR2004 - the shortest head
            if len(data) > 1:
                _check(data[0], data[1])
            return False
        _check(data[0], data[1])
        width = LENGTHS.get(data[1], 0)
        self._left = int.from_bytes(data[2 : 2 + width], "big") if width else data[1]
        self._opcode, self._is_final = data[0] & 0x0F, bool(data[0] & FINAL)
        if self._opcode in CONTROLS and (self._left > SHORT or not self._is_final):
            raise _broken("a control frame is short and whole")
        self._data = data[2 + width :]
        return True

    async def _begin(self) -> None:
        if (self._opcode == CONTINUATION) is not self._is_inside:
            raise _broken("a message begins once")
        if not self._is_inside:
            self._mask = await self._new_mask()
            self._is_inside = True
            self._unsaid = self._opcode

    async def _control(self) -> bytes:
        payload, self._data = self._data[: self._left], self._data[self._left :]
        self._left = 0
        mask = await self._new_mask()
        masked = mask.whole(payload) if mask else payload
        if len(masked) > SHORT:
            raise RefusedConnectionError("protocol", "The host sends a secret back where it cannot be replaced.")
        return frame(self._opcode, masked)

    def _message(self) -> bytes:
        """What is there of the payload, or the end of the frame."""
        piece, self._data = self._data[: self._left], self._data[self._left :]
        self._left -= len(piece)
        self._out += self._mask.feed(piece) if self._mask else piece
        if self._left:
            return self._said(final=False) if len(self._out) > WHOLE_BYTES else b""
        if not self._is_final:
            return self._said(final=False) if self._out else b""
        self._out += self._mask.finish() if self._mask else b""
        self._is_inside = False
        return self._said(final=True)

    def _said(self, *, final: bool) -> bytes:
        opcode = CONTINUATION if self._unsaid is None else self._unsaid
        self._unsaid = None
        payload = bytes(self._out)
        self._out.clear()
        return frame(opcode, payload, final=final)


def _check(first: int, second: int) -> None:
    if first & EXTENDED or second & MASKED or first & 0x0F not in MESSAGES | CONTROLS:
        raise _broken("it uses what nobody asked for")


def _broken(why: str) -> RefusedConnectionError:
    return RefusedConnectionError("protocol", f"What the host sends after the upgrade is no WebSocket: {why}.")
