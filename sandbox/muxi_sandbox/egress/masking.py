"""What must not come back from a host, replaced in bytes that come in pieces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Mask", "Texts"]

CONTROL = re.compile(rb"[\x00-\x1f]")
ROUND = 64
"""Bytes to whose multiple the longest text is rounded, so that its length is not told either."""


class Texts:
    """What must not come back, and what stands for each: made ready once, for any number of masks."""

    def __init__(self, replacements: Mapping[bytes, bytes]) -> None:
        """`replacements`: none of the texts is empty, or holds a control character."""
        self._replacements = dict(replacements)
        longest_first = sorted(self._replacements, key=len, reverse=True)
        self._any = re.compile(b"|".join(map(re.escape, longest_first)) or rb"(?!)")
        self.longest = -(-max(map(len, self._replacements), default=1) // ROUND) * ROUND
        """At least the bytes of the longest one."""

    def first(self, data: bytes, at: int) -> tuple[int, int, bytes] | None:
        """Where the first of them from there on begins and ends, and what stands for it."""
        match = self._any.search(data, at)
        return match and (match.start(), match.end(), self._replacements[match[0]])

    def replaced(self, data: bytes) -> bytes:
        """All of the data with what stands for them."""
        return self._any.sub(lambda match: self._replacements[match[0]], data)


class Mask:
    """Replaces each of some texts by another. What could be the beginning of one is held back until it is known."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._held = b""

    def whole(self, data: bytes) -> bytes:
        """All at once; what is held back of others is not looked at."""
        return self._texts.replaced(data)

    def feed(self, data: bytes) -> bytes:
        """What may go on now."""
        data = self._held + data
        begin = self._unfinished_from(data)
        going: list[bytes] = []
        at = 0
        while True:
            # Of two that begin at different places the earlier one counts, also if it is not complete yet.
            safe = max(at, begin)
            found = self._texts.first(data, at)
            if found is None or found[0] >= safe:
                going.append(data[at:safe])
                self._held = data[safe:]
                return b"".join(going)
            start, end, stands = found
            going += (data[at:start], stands)
            at = end

    def finish(self) -> bytes:
        """What was held back, when nothing follows. What is fed then is another text."""
        rest, self._held = self.whole(self._held), b""
        return rest

    def _unfinished_from(self, data: bytes) -> int:
        """Where the end of the data begins in which a text could begin that is not complete.

        It does not depend on what the texts are: how much of an answer comes at once must not tell a program that it
        has guessed the beginning of one. None of them holds a control character.
        """
        start = max(0, len(data) - self._texts.longest + 1)
        return max((match.end() for match in CONTROL.finditer(data, start)), default=start)
