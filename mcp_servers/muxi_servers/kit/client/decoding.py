"""Bodies of answers as they were before they were compressed, never more of them than is wanted."""

from __future__ import annotations

import zlib

__all__ = ["ACCEPTED", "Inflater", "make_inflater"]

ACCEPTED = "gzip, deflate"
_GZIP = 16 + zlib.MAX_WBITS


class Inflater:
    """Takes compressed pieces, gives at most so many bytes at a time. A file of gzip may have several members.

    Attributes:
        held: compressed bytes that `take` did not look at; give them to it again.
    """

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._stream = zlib.decompressobj(window_bits)
        self.held = b""

    def take(self, data: bytes, room: int) -> bytes:
        """The next bytes, `room` at most.

        Raises:
            zlib.error: it is not compressed as it says.
        """
        if self._stream.eof:
            self._stream = zlib.decompressobj(self._window_bits)
        found = self._stream.decompress(data, room)
        self.held = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return found

    @property
    def is_open(self) -> bool:
        """Whether more has to follow."""
        return not self._stream.eof


def make_inflater(encoding: str) -> Inflater | None:
    """For a `Content-Encoding`; `None` if the body is as it is.

    Raises:
        ValueError: a coding that was not asked for.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return Inflater(_GZIP)
        case "deflate":
            return Inflater(zlib.MAX_WBITS)
        case other:
            raise ValueError(f"it is compressed with {other[:40]!r}, which was not asked for")
