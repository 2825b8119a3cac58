"""Which size of letters is a heading of which level.

A PDF that this server wrote says so, and its headings have sizes of their own. In any other it is a guess: letters
larger than those of the text are headings, and their levels are the ranks of their sizes, the largest first.
"""

from __future__ import annotations

from muxi_servers.documents.formats.pdf_lines import PIXELS, body_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from muxi_servers.documents.formats.pdf_lines import Line, Page

__all__ = ["CREATOR", "HEADING_POINTS", "MAX_HEADING", "Scale"]

CREATOR = "muxi-runtime documents"
HEADING_POINTS = (20, 16, 14, 12.67, 12, 11.34)
"""By level. In Poppler's pixels, which are whole, each is another number, and none is that of the text."""
MAX_HEADING = 200
_MAX_LEVEL = 6
_LARGER = 1.12  # than the text: what is a heading by its size alone
_SAME = 0.96  # sizes that differ by less are one
_LEAST_LETTERS = 2


class Scale:
    """Of one document.

    Attributes:
        body: the size that most letters have.
    """

    def __init__(self, body: float, ranks: Iterable[float] = ()) -> None:
        """`ranks`: the sizes of headings, the largest first."""
        self.body = body
        self._ranks = list(ranks)[:_MAX_LEVEL]
        self._own: dict[int, int] = {}

    @classmethod
    def of(cls, pages: list[Page], creator: str) -> Scale:
        """What these pages say, and the program that made the document."""
        body = body_size(pages)
        if creator != CREATOR:
            return cls(body, _ranked(pages, body))
        own = cls(body)
        own._own = {round(points * PIXELS): level for level, points in enumerate(HEADING_POINTS, 1)}
        return own

    def certain_level(self, line: Line) -> int:
        """Of a heading that this server wrote; 0 of anything else."""
        return self._own.get(round(line.size), 0)

    def level(self, size: float) -> int:
        """Of a line that may be a heading by the size of its letters; 0 if they are not large enough."""
        if self._own or not self.body or size < _LARGER * self.body:
            return 0
        return min(1 + sum(_SAME * rank > size for rank in self._ranks), _MAX_LEVEL)

    @property
    def bold_level(self) -> int:
        """Of a line in bold letters that are no larger than those of the text."""
        return 0 if self._own else min(len(self._ranks) + 1, _MAX_LEVEL)


def _ranked(pages: list[Page], body: float) -> list[float]:
    sizes = {line.size for page in pages for line in page.lines if line.size >= _LARGER * body and _may_head(line)}
    ranks: list[float] = []
    for size in sorted(sizes, reverse=True):
        if not ranks or size <= _SAME * ranks[-1]:
            ranks.append(size)
    return ranks


def _may_head(line: Line) -> bool:
    letters = sum(letter.isalpha() for letter in line.text)
    return letters >= _LEAST_LETTERS and len(line.text) <= MAX_HEADING
