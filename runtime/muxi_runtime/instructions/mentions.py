"""Whether words are spoken of rather than said: in quotation marks, beside a word such as *attack* or *for example*.

Who writes about instructions to models has to quote some. Who wants to be obeyed can hide in such quotes, too, and
looks like an example then, also to the model.
"""

from __future__ import annotations

import re

from muxi_runtime.instructions.folding import fold
from muxi_runtime.instructions.lexicon import ABOUT

__all__ = ["is_mentioned"]

AROUND = 240
"""Characters on each side that are looked at."""
_PAIRS = {"\u201c": "\u201d", "\u201e": "\u201c", "\u00ab": "\u00bb", "\u2018": "\u2019", "\u300c": "\u300d"}
_SAME = ('"', "`", "'")
_WORDS = re.compile(r"[^\W_]+")


def is_mentioned(text: str, start: int, end: int) -> bool:
    """For a passage of a text. Bounded work."""
    left = text[max(0, start - AROUND) : start].rpartition("\n")[2]
    right = text[end : end + AROUND].partition("\n")[0]
    return any(_speaks_of(left[:opened] + " " + right[closed:]) for opened, closed in _quotes(left, right))


def _quotes(left: str, right: str) -> list[tuple[int, int]]:
    """Where quotes around the passage open on the left and close on the right."""
    found: list[tuple[int, int]] = []
    for mark in _SAME:
        # Within a word it is an apostrophe.
        marks = [at for at, char in enumerate(left) if char == mark and not _is_inside(left, at)]
        if len(marks) % 2 and mark in right:
            found.append((marks[-1], right.index(mark) + 1))
    for opening, closing in _PAIRS.items():
        opened = left.rfind(opening)
        if opened > left.rfind(closing) - (opening == closing) and opened >= 0 and closing in right:
            found.append((opened, right.index(closing) + 1))
    return found


def _is_inside(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and text[at - 1].isalnum() and text[at + 1].isalnum()


def _speaks_of(outside: str) -> bool:
    return not ABOUT.isdisjoint(_WORDS.findall(fold(outside)))
