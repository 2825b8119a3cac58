"""Where a chunked body ends (RFC 9112, 7.1): what follows it would be a request that nobody decided about."""

from __future__ import annotations

import re

from muxi_sandbox.egress.refusal import RefusedConnectionError

__all__ = ["ChunkedBody"]

SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e]*)?")
TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
LONGEST_LINE = 4096
MOST_TRAILERS = 64


class ChunkedBody:
    """Follows the body byte by byte, in whatever pieces it comes."""

    def __init__(self, *, with_content: bool = False) -> None:
        self._line = bytearray()
        self._left = 0
        self._ends_chunk = False
        self._in_trailers = False
        self._trailers = 0
        self._content: bytearray | None = bytearray() if with_content else None
        self.is_over = False

    def take(self) -> bytes:
        """What the chunks held since this was last asked; of a body made `with_content`."""
        content = bytes(self._content or b"")
        self._content = bytearray()
        return content

    def feed(self, data: bytes) -> int:
        """How many of the bytes belong to the body; fewer than all once it is over.

        Raises:
            RefusedConnectionError: with the rule `request`: it is not framed as it should be.
        """
        at = 0
        while at < len(data) and not self.is_over:
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                if self._content is not None:
                    self._content += data[at : at + taken]
                at += taken
                self._ends_chunk = not self._left
                continue
            at = self._feed_line(data, at)
        return at

    def _feed_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        self._line += data[at : end + 1] if end >= 0 else data[at:]
        if len(self._line) > LONGEST_LINE:
            raise RefusedConnectionError("request", "A line of the chunked body is too long.")
        if end < 0:
            return len(data)
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise RefusedConnectionError("request", "A line of the chunked body ends without a carriage return.")
        self._take_line(line[:-2])
        return end + 1

    def _take_line(self, line: bytes) -> None:
        if self._ends_chunk:
            self._ends_chunk = False
            self._demand(not line, "A chunk is longer than it says.")
        elif self._in_trailers:
            self.is_over = not line
            self._trailers += 1
            self._demand(self._trailers <= MOST_TRAILERS, "The chunked body has too many trailers.")
            self._demand(self.is_over or TRAILER_LINE.fullmatch(line), "A trailer of the chunked body is malformed.")
        else:
            size = SIZE_LINE.fullmatch(line)
            self._demand(size, "A chunk has no size.")
            self._left = int(size[1], 16) if size else 0
            self._in_trailers = not self._left

    @staticmethod
    def _demand(condition: object, otherwise: str) -> None:
        if not condition:
            raise RefusedConnectionError("request", otherwise)
