"""The last of a program's standard error: bounded, and safe to print."""

from __future__ import annotations

import unicodedata
from collections import deque

__all__ = ["StderrTail", "printable"]

TAIL_BYTES = 64 * 2**10
"""What is kept for people to read."""

# Cc: terminal escapes. Cf: bidi overrides, zero-width and tag characters. Cs, Co: nothing that a terminal can show.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co"})


def printable(text: str) -> str:
    """`text` with every control and invisible character but line feed and tab replaced by U+FFFD."""
    return "".join("\ufffd" if _is_hidden(c) else c for c in text.replace("\r\n", "\n"))


def _is_hidden(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in _HIDDEN


class StderrTail:
    """A ring of the last `limit` bytes; each write costs no more than its own length."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._pieces: deque[bytes] = deque()
        self._held = 0

    def write(self, data: bytes) -> None:
        """Take what the program wrote, and forget what is too old."""
        if not data:
            return
        self._pieces.append(data[-self._limit :])
        self._held += len(self._pieces[-1])
        while self._held - len(self._pieces[0]) >= self._limit:
            self._held -= len(self._pieces.popleft())
        # A program that writes byte by byte must not cost an object for each.
        if len(self._pieces) > 1024:  # noqa: PLR2004  # any number that bounds the overhead
            self._join()

    def _join(self) -> None:
        whole = b"".join(self._pieces)[-self._limit :]
        self._pieces = deque([whole])
        self._held = len(whole)

    def text(self, limit: int | None = None) -> str:
        """The last `limit` bytes (all that are held, if `None`), decoded, with `printable` applied."""
        self._join()
        held = self._pieces[0]
        return printable((held if limit is None else held[-limit:]).decode("utf-8", "replace"))
