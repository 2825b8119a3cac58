"""Lines to frames, incrementally and within a limit. Pure: no input or output of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FrameSplitter", "FrameTooLongError"]


class FrameTooLongError(Exception):
    """A line passed the limit before its line feed came; the splitter is of no use any more."""


class FrameSplitter:
    """Cuts a byte stream at line feeds; holds at most one unfinished line of `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of the line that is not finished."""
        return len(self._partial)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that `data` completes, without line feeds, empty ones left out.

        Raises:
            FrameTooLongError: a line, finished or not, is longer than the limit.
        """
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            frame = self._finish(data, start, end)
            start = end + 1
            if frame:
                yield frame
        self._check(len(data) - start)
        self._partial += data[start:]

    def _finish(self, data: bytes, start: int, end: int) -> bytes:
        self._check(end - start)
        if not self._partial:
            return data[start:end]
        self._partial += data[start:end]
        frame = bytes(self._partial)
        self._partial = bytearray()
        return frame

    def _check(self, more: int) -> None:
        if len(self._partial) + more > self._limit:
            raise FrameTooLongError
