"""The last part of an output that never ends, addressed by position from its beginning."""

from __future__ import annotations

__all__ = ["Ring"]


class Ring:
    """Keeps the last `limit` bytes.

    Attributes:
        end: position after the last byte taken; the number of bytes so far.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.end = 0

    @property
    def begin(self) -> int:
        """Position of the first byte that is still kept."""
        return self.end - len(self._kept)

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self.end += len(data)
        self._kept += data[-self._limit :]
        excess = len(self._kept) - self._limit
        if excess > 0:
            del self._kept[:excess]

    def read(self, position: int, size: int) -> tuple[int, bytes]:
        """(where they begin, up to `size` bytes) from a position on, or from the first byte kept if that is later."""
        start = min(max(position, self.begin), self.end)
        offset = start - self.begin
        return start, bytes(self._kept[offset : offset + size])
