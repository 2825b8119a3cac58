"""What a host sends over a WebSocket (RFC 6455), with what must not come back replaced: frames in, frames out.

A message may come in many frames and a frame in many pieces; all of one message is looked through as one text. A frame
that is not long is passed on in one piece, with those before it that came at once, a longer one in several frames of
the same message. Extensions were not asked for, so that nothing is compressed.

A frame may have two bytes, so that one read brings tens of thousands: what is done for each is little, and others get
their turn between.

Above: `exchange`. Below: `masking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint

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
FRAMES_A_TURN = 64
"""Frames after which others get theirs, and the values are looked at anew."""


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
        """`mask` is asked for at the beginning of a message and for a control frame, once for those of one turn."""
        self._new_mask = mask
        self._fresh: list[Mask | None] = []
        """The one of this turn, once it was asked for."""
        self._mask: Mask | None = None
        self._data = b""
        self._at = 0
        """Where in the data it goes on."""
        self._left = 0
        """Bytes of the frame that is being read."""
        self._opcode = CONTINUATION
        self._is_final = True
        self._is_inside = False
        """Whether a message has begun and not ended."""
        self._unsaid: int | None = None
        """The opcode of the message, until a frame of it was passed on."""
        self._unmasked = bytearray()
        """What has come of the message and was not looked through yet."""
        self._out = bytearray()

    async def feed(self, data: bytes) -> bytes:
        """What may go on now.

        Raises:
            RefusedConnectionError: it is no WebSocket, or a control frame has no room for what stands for a value.
        """
        self._data = self._data[self._at :] + data
        self._at = 0
        self._fresh.clear()
        out = bytearray()
        frames = 0
        while await self._goes_on(out):
            frames += 1
            if not frames % FRAMES_A_TURN:
                self._fresh.clear()
                await checkpoint()
        self._look_through()
        if self._out and (not self._left or len(self._out) > WHOLE_BYTES):
            out += self._said(final=False)
        return bytes(out)

    async def _goes_on(self, out: bytearray) -> bool:
        """Take one frame, or what is there of it; false if more has to come first."""
        if not self._left:
            if not self._takes_head():
                return False
            if self._opcode in MESSAGES:
                await self._begin()
        if self._opcode not in CONTROLS:
            out += self._message()
        elif len(self._data) - self._at >= self._left:
            out += await self._control()
        return not self._left

    def _takes_head(self) -> bool:
        """Read the head of a frame, if it is there."""
        data, at = self._data, self._at
        there = len(data) - at
        if there < 2:  # noqa: PLR2004 - the shortest head
            return False
        first, second = data[at], data[at + 1]
        _check(first, second)
        width = LENGTHS.get(second, 0)
        if there < 2 + width:
            return False
        self._at = at + 2 + width
        self._left = int.from_bytes(data[at + 2 : self._at], "big") if width else second
        self._opcode, self._is_final = first & 0x0F, bool(first & FINAL)
        if self._opcode in CONTROLS and (self._left > SHORT or not self._is_final):
            raise _broken("a control frame is short and whole")
        return True

    def _take_payload(self) -> bytes:
        """What is there of it."""
        piece = self._data[self._at : self._at + self._left]
        self._at += len(piece)
        self._left -= len(piece)
        return piece

    async def _mask_of_now(self) -> Mask | None:
        if not self._fresh:
            self._fresh.append(await self._new_mask())
        return self._fresh[0]

    async def _begin(self) -> None:
        if (self._opcode == CONTINUATION) is not self._is_inside:
            raise _broken("a message begins once")
        if not self._is_inside:
            self._mask = await self._mask_of_now()
            self._is_inside = True
            self._unsaid = self._opcode

    async def _control(self) -> bytes:
        payload = self._take_payload()
        mask = await self._mask_of_now()
        masked = mask.whole(payload) if mask else payload
        if len(masked) > SHORT:
            raise RefusedConnectionError("protocol", "The host sends a secret back where it cannot be replaced.")
        return frame(self._opcode, masked)

    def _message(self) -> bytes:
        """The end of a message, or what there is of one that is too long to wait for it."""
        self._unmasked += self._take_payload()
        if self._left or not self._is_final:
            if len(self._unmasked) <= WHOLE_BYTES:
                return b""
            self._look_through()
            return self._said(final=False) if self._out else b""
        self._look_through()
        self._out += self._mask.finish() if self._mask else b""
        self._is_inside = False
        return self._said(final=True)

    def _look_through(self) -> None:
        if self._unmasked:
            piece = bytes(self._unmasked)
            self._unmasked.clear()
            self._out += self._mask.feed(piece) if self._mask else piece

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
