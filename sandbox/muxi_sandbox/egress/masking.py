"""What must not come back from a host, replaced in bytes that come in pieces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Mask"]

CONTROL = re.compile(rb"[\x00-\x1f]")
ROUND = 64
"""Bytes to whose multiple the longest text is rounded, so that its length is not told either."""


class Mask:
    """Replaces each of some texts by another. What could be the beginning of one is held back until it is known."""

    def __init__(self, replacements: Mapping[bytes, bytes]) -> None:
        """`replacements`: none of the texts is empty, or holds a control character."""
        self._replacements = dict(replacements)
        longest_first = sorted(self._replacements, key=len, reverse=True)
        self._any = re.compile(b"|".join(map(re.escape, longest_first)) or rb"(?!)")
        self._longest = -(-max(map(len, self._replacements), default=1) // ROUND) * ROUND
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

    def _unfinished(self, data: bytes, at: int) -> int:
        """Length of the end of the data in which a text could begin that is not complete.

        It does not depend on what the texts are: how much of an answer comes at once must not tell a program that it
        has guessed the beginning of one. None of them holds a control character.
        """
        tail = data[max(at, len(data) - self._longest + 1) :]
        return len(tail) - max((match.end() for match in CONTROL.finditer(tail)), default=0)
