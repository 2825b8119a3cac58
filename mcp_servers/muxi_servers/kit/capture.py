"""Keeps the beginning and the end of an output of any length, in bounded memory."""

from __future__ import annotations

__all__ = ["Capture"]


class Capture:
    """Takes bytes, keeps at most `limit`: the first half of it from the beginning, the rest from the end.

    Attributes:
        total: bytes taken so far.
    """

    def __init__(self, limit: int) -> None:
        self._head_limit = limit // 2
        self._tail_limit = limit - self._head_limit
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self.total += len(data)
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data[-self._tail_limit :] if self._tail_limit else b""
        if len(self._tail) > 2 * self._tail_limit:
            self._trim()

    @property
    def omitted(self) -> int:
        """Bytes that `text` leaves out."""
        self._trim()
        return self.total - len(self._head) - len(self._tail)

    def text(self) -> str:
        """What was kept, with a line in place of what was not; bytes that are no UTF-8 become U+FFFD."""
        omitted = self.omitted
        head, tail = bytes(self._head), bytes(self._tail)
        if not omitted:
            return (head + tail).decode("utf-8", "replace")
        mark = f"\n[... {omitted} of {self.total} bytes left out ...]\n"
        # A cut may split a character; the pieces at the cut are dropped rather than shown as noise.
        return (
            head.decode("utf-8", "replace").rstrip("\ufffd") + mark + tail.decode("utf-8", "replace").lstrip("\ufffd")
        )

    def _trim(self) -> None:
        excess = len(self._tail) - self._tail_limit
        if excess > 0:
            del self._tail[:excess]
