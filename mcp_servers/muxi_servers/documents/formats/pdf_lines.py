"""What `pdftohtml -xml` says of a page: pieces of text with their places, put together to lines."""

from __future__ import annotations

import re
from collections import Counter

from muxi_servers.documents.markdown import emphasise, link, plain
from muxi_servers.documents.xml import local_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["PIXELS", "Line", "Page", "Piece", "body_size", "read_pages"]

PIXELS = 1.5
"""Of a point: `pdftohtml` counts in pixels at 108 to the inch."""

_CUT_LINK = re.compile(r"\]\((\S{1,2000})\)( ?)\[(?=[^\[\]]{0,500}\]\(\1\))")  # where its font changes, a link is cut
_LEADERS = re.compile(r"(?: ?\.){5,} ?")  # from a name in a list of contents to its page
_GAP = 1.0  # of the height: pieces farther apart are cells of a table rather than words of a sentence
_MARGIN = 0.075  # of the height of a page
_OVERLAP = 0.5  # of the lower height: pieces that share more are on one line


class Piece:
    """Text with its place, in pixels."""

    __slots__ = ("bold", "height", "left", "right", "size", "text", "top")

    def __init__(self, text: str, box: tuple[float, float, float, float], size: float, *, bold: bool) -> None:
        self.text = text
        self.left, self.top, width, self.height = box
        self.right = self.left + width
        self.size = size
        self.bold = bold


class Line:
    """Pieces beside each other; more than one where there are gaps between them."""

    __slots__ = ("pieces",)

    def __init__(self, piece: Piece) -> None:
        self.pieces = [piece]

    @property
    def text(self) -> str:
        """All its pieces."""
        return " ".join(piece.text.strip() for piece in self.pieces)

    @property
    def first(self) -> Piece:
        """The leftmost."""
        return self.pieces[0]

    @property
    def size(self) -> float:
        """Of most of its letters."""
        return max(self.pieces, key=lambda piece: len(piece.text)).size

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return max(piece.top + piece.height for piece in self.pieces)

    def takes(self, piece: Piece) -> bool:
        """Whether a piece that follows is on this line; if so it is put there."""
        last = self.pieces[-1]
        shared = min(last.top + last.height, piece.top + piece.height) - max(last.top, piece.top)
        if shared < _OVERLAP * min(last.height, piece.height) or piece.left < last.right - last.height:
            return False
        if piece.left - last.right > _GAP * max(last.height, piece.height):
            self.pieces.append(piece)
            return True
        space = "" if last.text.endswith(" ") or piece.left - last.right < 1 else " "
        if len(piece.text) > len(last.text):  # the size of a bullet is not that of its line
            last.size, last.top, last.height = piece.size, piece.top, piece.height
        last.text = _CUT_LINK.sub(r"\2", f"{last.text}{space}{piece.text}")
        last.right = max(last.right, piece.right)
        last.bold = last.bold and piece.bold
        return True


class Page:
    """Lines in the order of the file, which is the order of reading in most."""

    __slots__ = ("lines", "number", "sizes")

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines: list[Line] = []
        self.sizes: Counter[float] = Counter()


def read_pages(said: bytes) -> dict[int, Page]:
    """Pages by number."""
    from lxml import etree  # noqa: PLC0415 - heavy

    # The program passes control characters on, which XML does not have: the parser mends what it can.
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    root = etree.fromstring(said, parser) if said.strip() else None
    pages: dict[int, Page] = {}
    sizes: dict[str, float] = {}
    for element in root if root is not None else ():
        if local_name(element) != "page":
            continue
        page = _page(element, sizes)
        pages[page.number] = page
    return pages


def body_size(pages: list[Page]) -> float:
    """The size that most letters have."""
    sizes: Counter[float] = Counter()
    for page in pages:
        sizes.update(page.sizes)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _page(element: _Element, sizes: dict[str, float]) -> Page:
    page = Page(int(_number(element, "number")))
    height = _number(element, "height")
    for part in element:
        if local_name(part) == "fontspec":
            sizes[str(part.get("id"))] = _number(part, "size")
        elif local_name(part) == "text":
            piece = _piece(part, sizes)
            if not piece.text.strip() or _is_page_number(piece, height):
                continue
            page.sizes[piece.size] += len(piece.text)
            if not page.lines or not page.lines[-1].takes(piece):
                page.lines.append(Line(piece))
    return page


def _is_page_number(piece: Piece, height: float) -> bool:
    """Digits alone in the margin at the top or bottom."""
    digits = piece.text.strip("*- \u2013")
    return digits.isdigit() and not _MARGIN * height < piece.top < (1 - _MARGIN) * height


def _piece(part: _Element, sizes: dict[str, float]) -> Piece:
    box = (_number(part, "left"), _number(part, "top"), _number(part, "width"), _number(part, "height"))
    size = sizes.get(str(part.get("font")), box[3])
    inside = list(part)
    is_bold = len(inside) == 1 and local_name(inside[0]) == "b" and not (part.text or "").strip()
    is_bold = is_bold and not (inside[0].tail or "").strip()
    text = "".join(str(word) for word in part.itertext()) if is_bold and not part.findall(".//a") else _inline(part)
    text = _CUT_LINK.sub(r"\2", _LEADERS.sub(" \u2026 ", text).replace("  \u2026", " \u2026"))
    return Piece(plain(text), box, size, bold=is_bold)


def _inline(element: _Element) -> str:
    words = element.text or ""
    for part in element:
        inner = _inline(part)
        name = local_name(part)
        if name == "a":
            inner = link(inner, part.get("href") or "")
        words += emphasise(inner, bold=name == "b", italic=name == "i") + (part.tail or "")
    return words


def _number(element: _Element, name: str) -> float:
    try:
        return float(element.get(name) or 0)
    except ValueError:
        return 0.0
