"""From the lines of a page to headings, paragraphs, lists and tables.

A PDF has none of these, only letters at places: all of this is a guess by size, distance and alignment.
"""

from __future__ import annotations

import re

from muxi_servers.documents.formats.pdf_scale import MAX_HEADING
from muxi_servers.documents.formats.pdf_table import table_at
from muxi_servers.documents.model import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.formats.pdf_lines import Line, Page
    from muxi_servers.documents.formats.pdf_scale import Scale

__all__ = ["page_blocks"]

_BULLETS = frozenset("\u2022\u25cf\u25aa\u25e6\u2023\u2043\u25cb\u25a0\u00b7\uf0b7\u2013-*")
_ITEM = re.compile(
    r"(?:([\u2022\u25cf\u25aa\u25e6\u2023\u2043\u25cb\u25a0\uf0b7])\s*|([\u2013*-])\s+|(\d{1,3})[.)]\s+)(?=\S)"
)
_MAX_BOLD_HEADING = 90
_NEAR = 0.75  # of the height: lines farther apart are of different paragraphs
_NEAR_ITEM = 1.2
_INDENT = 1.5  # of the height: an item that begins this much farther right is in a list inside


def page_blocks(page: Page, scale: Scale) -> list[Block]:
    """The blocks of one page; `scale` is that of the document."""
    return _Reader(page, scale).run()


class _Reader:
    def __init__(self, page: Page, scale: Scale) -> None:
        self._lines = page.lines
        self._scale = scale
        self._blocks: list[Block] = []
        self._last: Line | None = None  # the line that ended the last block, if it may go on
        self._lefts: list[float] = []  # where the items of the list so far begin, by depth

    def run(self) -> list[Block]:
        at = 0
        ends = [*(at for at, line in enumerate(self._lines) if self._scale.certain_level(line)), len(self._lines)]
        while at < len(self._lines):
            while ends[0] < at:
                del ends[0]
            table, end = table_at(self._lines[: ends[0]], at)
            if table is not None:
                self._blocks.append(table)
                self._last = None
                at = end
            else:
                self._take(self._lines[at])
                at += 1
        return self._blocks

    def _take(self, line: Line) -> None:
        item = _item(line)
        level = self._heading_level(line, listed=item is not None)
        if level:
            self._add_heading(line, level)
        elif item:
            depth = self._depth(line)
            self._blocks.append(Block("item", item[1], depth, item[0]))
        elif self._goes_on(line):
            block = self._blocks[-1]
            block.text = _joined(block.text, _marked(line))
        else:
            self._blocks.append(Block("text", _marked(line)))
        self._last = line

    def _heading_level(self, line: Line, *, listed: bool) -> int:
        """0 if it is none. What looks like an item is a heading where its letters are larger, as in `2. Methods`."""
        text = line.text
        if certain := self._scale.certain_level(line):
            return certain
        if not any(letter.isalpha() for letter in text) or len(text) > MAX_HEADING:
            return 0
        level = self._scale.level(line.size)
        if listed:
            return 0 if line.first.text.strip()[:1] in _BULLETS else level
        is_small = line.size < self._scale.body or len(text) > _MAX_BOLD_HEADING
        if level or is_small or not all(piece.bold for piece in line.pieces):
            return level
        return 0 if text.rstrip().endswith((".", ",", ";", ":")) or self._goes_on(line) else self._scale.bold_level

    def _add_heading(self, line: Line, level: int) -> None:
        before = self._blocks[-1] if self._blocks else None
        if before and before.kind == "heading" and before.level == level and self._is_near(line):
            before.text = f"{before.text} {line.text}"  # a heading on two lines
        else:
            self._blocks.append(Block("heading", line.text.replace("**", ""), level))

    def _is_near(self, line: Line) -> bool:
        if self._last is None:
            return False
        gap = line.first.top - self._last.bottom
        same = abs(line.size - self._last.size) <= 1
        near = _NEAR_ITEM if self._is_below_item(line) else _NEAR
        return same and -line.first.height < gap <= near * line.first.height and line.first.top > self._last.first.top

    def _is_below_item(self, line: Line) -> bool:
        """Whether a line begins where the words of the item above begin, farther right than its bullet."""
        is_item = bool(self._blocks) and self._blocks[-1].kind == "item" and bool(self._lefts)
        return is_item and line.first.left > self._lefts[-1] + _NEAR * line.first.height

    def _goes_on(self, line: Line) -> bool:
        if not self._blocks or self._blocks[-1].kind not in {"text", "item"} or not self._is_near(line):
            return False
        assert self._last is not None  # noqa: S101 - nothing is near without it  # nosec B101
        starts_in = line.first.left - self._last.first.left > 0.8 * line.first.height
        return self._blocks[-1].kind == "item" or not starts_in

    def _depth(self, line: Line) -> int:
        if not self._blocks or self._blocks[-1].kind != "item":
            self._lefts = []
        left = line.first.left
        while self._lefts and left < self._lefts[-1] - _INDENT * line.first.height:
            self._lefts.pop()
        if not self._lefts or left > self._lefts[-1] + _INDENT * line.first.height:
            self._lefts.append(left)
        return min(len(self._lefts) - 1, 8)


def _item(line: Line) -> tuple[int, str] | None:
    """(number, text) of an item; the number is 0 where it has a bullet."""
    first = line.first.text.strip()
    if len(line.pieces) > 1 and (first in _BULLETS or re.fullmatch(r"\d{1,3}[.)]", first)):
        number = int(first[:-1]) if first[:-1].isdigit() else 0
        return number, " ".join(piece.text.strip() for piece in line.pieces[1:])
    found = _ITEM.match(line.text)
    if not found:
        return None
    return int(found.group(3) or 0), line.text[found.end() :].strip()


def _marked(line: Line) -> str:
    return " ".join(f"**{p.text.strip()}**" if p.bold else p.text.strip() for p in line.pieces)


def _joined(text: str, more: str) -> str:
    """Two lines of a paragraph; a word that was divided is put together."""
    if text.endswith("\u00ad"):
        return text[:-1] + more
    if len(text) > 1 and text.endswith("-") and text[-2].isalpha() and more[:1].islower():
        return text[:-1] + more
    return f"{text} {more}"
