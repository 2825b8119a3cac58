"""What must not come back from a host, replaced in bytes that come in pieces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Mask"]


class Mask:
    """Replaces each of some texts by another. What could be the beginning of one is held back until it is known."""

    def __init__(self, replacements: Mapping[bytes, bytes]) -> None:
        """`replacements`: none of the texts is empty."""
        self._replacements = dict(replacements)
        longest_first = sorted(self._replacements, key=len, reverse=True)
        self._any = re.compile(b"|".join(map(re.escape, longest_first)) or rb"(?!)")
        self._held = b""

    def whole(self, data: bytes) -> bytes:
        """All at once; what is held back of others is not looked at."""
        return self._any.sub(lambda match: self._replacements[match[0]], data)

    def feed(self, data: bytes) -> bytes:
        """What may go on now."""
        data = self._held + data
        going: list[bytes] = []
        at = 0
        while True:
            # Of two that begin at different places the earlier one counts, also if it is not complete yet.
            safe = len(data) - self._unfinished(data, at)
            match = self._any.search(data, at)
            if match is None or match.start() >= safe:
                going.append(data[at:safe])
                self._held = data[safe:]
                return b"".join(going)
            going += (data[at : match.start()], self._replacements[match[0]])
            at = match.end()

    def finish(self) -> bytes:
        """What was held back, when nothing follows."""
        rest, self._held = self.whole(self._held), b""
        return rest

    def finds(self, data: bytes) -> bool:
        """Whether a text ends in this piece; nothing is held back or replaced."""
        looked_at = self._held + data
        self._held = looked_at[-max(map(len, self._replacements), default=0) :]
        return self._any.search(looked_at) is not None

    def _unfinished(self, data: bytes, at: int) -> int:
        """Length of the longest end of the data that is the beginning of a text, and not all of it."""
        longest = 0
        for text in self._replacements:
            for size in range(min(len(text) - 1, len(data) - at), longest, -1):
                if data.endswith(text[:size]):
                    longest = size
                    break
        return longest
