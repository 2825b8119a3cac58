"""Cuts the blocks of a part into pieces of a bounded size.

A piece begins at each heading, and where the size is reached: between blocks if that can be, else between lines,
sentences or words. A table that is cut has its header again in each piece. What overlaps is from the same section.
"""

from __future__ import annotations

from bisect import bisect_right

from muxi_servers.documents.markdown import starts_of
from muxi_servers.documents.model import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.model import Block

__all__ = ["Cut", "cut", "estimate_tokens"]

_BYTES_PER_TOKEN = 4
_ENDS = ("\n\n", "\n", ". ", "? ", "! ", "; ", ", ", " ")
_LEAST = 0.5  # of the size: a cut is made no earlier, unless between blocks


class Cut:
    """A piece; `start` and `end` are characters of the part's Markdown, without what was put before it."""

    __slots__ = ("end", "headings", "start", "text")

    def __init__(self, text: str, start: int, end: int, headings: list[str]) -> None:
        self.text = text
        self.start = start
        self.end = end
        self.headings = headings


def estimate_tokens(text: str) -> int:
    """About what models make of it: four bytes each. A real count depends on the model."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def cut(
    blocks: list[Block], headings: list[str], *, size: int, overlap: int, in_tokens: bool
) -> tuple[list[Cut], list[str]]:
    """The pieces, and the headings in force at their end; `headings` are those in force before, outermost first."""
    text, starts = starts_of(blocks)
    if in_tokens and text:
        scale = len(text) / estimate_tokens(text)
        size, overlap = max(int(size * scale), 1), int(overlap * scale)
    found: list[Cut] = []
    for first, last, names in _sections(blocks, headings):
        end = starts[last] if last < len(starts) else len(text)
        headings = names
        found += _Section(text, starts[first:last], blocks[first:last], end, names).cuts(size, overlap)
    return found, headings


def _sections(blocks: list[Block], headings: list[str]) -> list[tuple[int, int, list[str]]]:
    """(first block, block after the last, headings) of each; headings with nothing between them begin one together."""
    path = [(level, name) for level, name in enumerate(headings, start=1)]
    found: list[tuple[int, int, list[str]]] = []
    first = 0
    for at, block in enumerate(blocks):
        if block.kind != "heading":
            continue
        if any(before.kind != "heading" for before in blocks[first:at]):
            found.append((first, at, [name for _, name in path]))
            first = at
        path = [(level, name) for level, name in path if level < block.level]
        path.append((block.level, block.text))
    if first < len(blocks):
        found.append((first, len(blocks), [name for _, name in path]))
    return found


class _Section:
    """The text between two headings."""

    def __init__(self, text: str, starts: list[int], blocks: list[Block], end: int, headings: list[str]) -> None:
        self._text = text
        self._starts = starts
        self._blocks = blocks
        self._end = end
        self._headings = headings

    def cuts(self, size: int, overlap: int) -> list[Cut]:
        """Its pieces."""
        found: list[Cut] = []
        start = self._starts[0]
        while start < self._end:
            header = self._header_at(start) if found else ""
            end = self._end_of(start, max(size - len(header), size // 2, 1))
            body = self._text[start:end].strip("\n")
            if body.strip():
                found.append(Cut(header + body, start, end, self._headings))
            if end >= self._end:
                break
            start = self._step_back(end, start, overlap)
        return found

    def _end_of(self, start: int, size: int) -> int:
        limit = start + size
        if self._end <= limit:
            return self._end
        least = start + max(int(size * _LEAST), 1)
        between = self._starts[bisect_right(self._starts, limit) - 1]
        if between >= least:
            return between
        for sign in _ENDS:
            at = self._text.rfind(sign, least, limit)
            if at >= 0:
                return at + len(sign)
        return limit

    def _step_back(self, end: int, start: int, overlap: int) -> int:
        """Where the next piece begins: so much before the end of the last, at a word; never inside a table."""
        begin = max(end - overlap, start + 1)
        if not overlap or begin >= end or self._table_at(end - 1) is not None:
            return end
        space = self._text.find(" ", begin, end)
        return space + 1 if space >= 0 else begin

    def _table_at(self, at: int) -> int | None:
        """Index of the table that a character is in."""
        index = max(bisect_right(self._starts, at) - 1, 0)
        return index if isinstance(self._blocks[index], Table) else None

    def _header_at(self, start: int) -> str:
        """The two header lines of the table that a piece begins inside of."""
        index = self._table_at(start)
        if index is None or start <= self._starts[index]:
            return ""
        lines = self._text[self._starts[index] : self._end].split("\n", 2)
        return "\n".join(lines[:2]) + "\n" if len("\n".join(lines[:2])) < start - self._starts[index] else ""
