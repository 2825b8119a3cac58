"""From a hit to the passage that goes: the whole of what is said to the model, and no more of the text than that.

The passage is, in this order: what markup encloses (`<system>...</system>`), if that is not long; else the lines of
the hit, and the lines behind them that go on giving orders, or that are announced by a colon. Of a very long line it
is the part from the beginning of the sentence.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from muxi_runtime.instructions.signals import Hit, hits

__all__ = ["Passage", "find"]

LONGEST_BLOCK = 4000
"""Characters that markup may enclose; more is a page, and not one block of it."""
LONGEST_LINE = 1500
MOST_LINES = 12
WRAPPED = 50
"""A line of so many characters that ends without a stop goes on in the next one."""
DEEPEST = 64
_MARK = re.compile(r"<!--|-->|<(/?)([a-zA-Z][\w.-]{0,60})[^<>]{0,200}>|\[(/?)([A-Za-z][\w-]{0,30})\]")
_SENTENCE = re.compile(r"[.!?\u3002][\"'\u201d)]?\s+|\u3002|\n")
_ENDS = (".", "!", "?", ":", ";", "\u3002", "\uff1a", ">", "]", "|")


_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of one text.

    Attributes:
        text: which of the texts.
        rules: names of what was found in it.
    """

    text: int
    start: int
    end: int
    rules: frozenset[str]


def find(texts: Sequence[str]) -> list[Passage]:
    """Passages that speak to a model, in texts that it is shown one after another; none overlaps another.

    Characters that are not seen have to be gone already. What is in a code (base64, ROT13) is not decoded.
    """
    found = hits(texts)
    if not found.hits:
        return []
    blocks: dict[int, list[_Span]] = {}
    orders: dict[int, list[int]] = {}
    for text, place in found.orders:
        orders.setdefault(text, []).append(place)
    passages: list[Passage] = []
    for hit in found.hits:
        for index, start, end in _parts(hit, texts):
            if index not in blocks:
                blocks[index] = _blocks(texts[index])
                orders.setdefault(index, []).sort()
            span = _grown(texts[index], start, end, blocks[index], orders[index])
            passages.append(Passage(index, *span, hit.rules))
    return _merged(passages)


def _parts(hit: Hit, texts: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    for index in range(hit.first[0], hit.last[0] + 1):
        start = hit.first[1] if index == hit.first[0] else 0
        end = hit.last[1] if index == hit.last[0] else len(texts[index])
        if start < end:
            yield index, start, end


def _merged(passages: Sequence[Passage]) -> list[Passage]:
    merged: list[Passage] = []
    for passage in sorted(passages, key=lambda one: (one.text, one.start)):
        last = merged[-1] if merged else None
        if last is not None and last.text == passage.text and passage.start <= last.end:
            rules = last.rules | passage.rules
            merged[-1] = Passage(last.text, last.start, max(last.end, passage.end), rules)
        else:
            merged.append(passage)
    return merged


def _blocks(text: str) -> list[_Span]:
    """What markup encloses, smallest first where they begin alike; only blocks that are not long."""
    opened: list[tuple[str, int]] = []
    found: list[_Span] = []
    for match in _MARK.finditer(text):
        slash, name = match[1] or match[3], (match[2] or match[4] or "!").lower()
        if match[0] == "<!--" or (match[0] != "-->" and not slash):
            opened = [*opened[-DEEPEST:], (name, match.start())]
            continue
        for place in range(len(opened) - 1, -1, -1):
            if opened[place][0] == name:
                found.append((opened[place][1], match.end()))
                del opened[place:]
                break
    return [block for block in found if block[1] - block[0] <= LONGEST_BLOCK]


def _grown(text: str, start: int, end: int, blocks: Sequence[_Span], orders: Sequence[int]) -> _Span:
    line_start, line_end = _line(text, start, end)
    around = [block for block in blocks if block[0] <= start and block[1] >= end]
    if around:
        block = min(around, key=lambda one: one[1] - one[0])
        return min(block[0], line_start), max(block[1], _onward(text, start, line_end, orders))
    return line_start, _onward(text, start, line_end, orders)


def _line(text: str, start: int, end: int) -> _Span:
    """The lines of a hit; of a long one the sentences."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = _line_end(text, end)
    if line_end - line_start <= LONGEST_LINE:
        return line_start, line_end
    first = max(line_start, start - LONGEST_LINE // 4)
    stops = [match.end() for match in _SENTENCE.finditer(text, first, start)]
    return (stops[-1] if stops else first), min(line_end, end + LONGEST_LINE)


def _line_end(text: str, place: int) -> int:
    found = text.find("\n", place)
    return len(text) if found < 0 else found


def _onward(text: str, start: int, end: int, orders: Sequence[int]) -> int:
    """How far the orders go on behind the line that ends at `end`."""
    line = text[max(start, end - LONGEST_LINE) : end].rstrip()
    for _ in range(MOST_LINES):
        begin = end
        while begin < len(text) and text[begin] in "\r\n\t ":
            begin += 1
        if begin >= len(text) or (end < len(text) and text[end] != "\n"):
            return end
        after = min(_line_end(text, begin), begin + LONGEST_LINE)
        is_wrapped = len(line) >= WRAPPED and not line.endswith(_ENDS) and text[end:begin].count("\n") == 1
        is_announced = line.endswith((":", "\uff1a"))
        at = bisect_left(orders, begin)
        if not (is_wrapped or is_announced or (at < len(orders) and orders[at] < after)):
            return end
        line, end = text[begin:after].rstrip(), after
    return end
