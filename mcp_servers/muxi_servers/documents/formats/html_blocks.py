"""From a tree of HTML to blocks."""

from __future__ import annotations

from muxi_servers.documents.markdown import emphasise, link, plain
from muxi_servers.documents.model import Block, Table
from muxi_servers.documents.xml import local_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from muxi_servers.documents.model import Row

__all__ = ["Walker"]

_LEFT_OUT = frozenset(
    ("script", "style", "noscript", "template", "svg", "canvas", "iframe", "object", "embed", "head", "select", "")
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_INLINE = frozenset(
    (
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "button", "cite", "code"),
        *("data", "del", "dfn", "em", "font", "i", "img", "input", "ins", "kbd", "label"),
        *("mark", "math", "q", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub"),
        *("sup", "time", "tt", "u", "var", "wbr"),
    )
)
_BOLD, _ITALIC = frozenset(("b", "strong")), frozenset(("i", "em", "cite", "var"))
_MAX_SPAN = 64
_MAX_DEPTH = 8


class Walker:
    """Gathers text until a block begins or ends."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._words: list[str] = []
        self._item: tuple[int, int] | None = None  # depth and number of the item that the text belongs to

    def blocks(self, body: _Element) -> list[Block]:
        """All blocks below an element."""
        self._inside(body, 0)
        self._flush()
        return self._blocks

    def _inside(self, parent: _Element, depth: int) -> None:
        self._words.append(parent.text or "")
        for element in parent:
            self._take(element, depth)
            self._words.append(element.tail or "")

    def _take(self, element: _Element, depth: int) -> None:
        name = local_name(element)
        if name in _LEFT_OUT or _is_hidden(element):
            return
        if name in _INLINE and not _holds_blocks(element):
            self._words.append(_inline(element))
            return
        self._flush()
        if name in _HEADINGS:
            text = " ".join(_inline(element).split()).replace("**", "")
            if text:
                self._blocks.append(Block("heading", text, int(name[1])))
        elif name == "table" and not _is_layout(element):
            self._blocks.append(_table(element))
        elif name == "pre":
            self._blocks.append(Block("code", plain("".join(str(piece) for piece in element.itertext())).strip("\n")))
        elif name in {"ul", "ol"}:
            self._list(element, depth, numbered=name == "ol")
        else:
            self._inside(element, depth)
            self._flush()

    def _list(self, element: _Element, depth: int, *, numbered: bool) -> None:
        outer, number = self._item, 0
        for item in element:
            if local_name(item) == "li" and not _is_hidden(item):
                number += 1
                self._item = (min(depth, _MAX_DEPTH), number if numbered else 0)
                self._inside(item, depth + 1)
                self._flush()
            elif local_name(item) in {"ul", "ol"}:
                self._list(item, depth + 1, numbered=local_name(item) == "ol")
        self._item = outer

    def _flush(self) -> None:
        lines = [" ".join(line.split()) for line in plain("".join(self._words)).split("\v")]
        text = "\n".join(lines).strip()
        self._words = []
        if not text:
            return
        if self._item is None:
            self._blocks.append(Block("text", text))
            return
        depth, number = self._item
        self._blocks.append(Block("item", text, depth, number))


def _is_hidden(element: _Element) -> bool:
    style = "".join((element.get("style") or "").lower().split())
    return (
        element.get("hidden") is not None
        or (element.get("aria-hidden") or "").lower() == "true"
        or "display:none" in style
        or "visibility:hidden" in style
    )


def _holds_blocks(element: _Element) -> bool:
    return any(local_name(part) not in _INLINE for part in element.iter() if local_name(part))


def _inline(element: _Element) -> str:
    """Text with marks and links; a break is a vertical tab until lines are made."""
    name = local_name(element)
    if name in _LEFT_OUT or _is_hidden(element):
        return ""
    if name == "br":
        return "\v"
    if name == "img":
        words = " ".join((element.get("alt") or "").split())
        return f"[picture: {words}]" if words else ""
    inner = (element.text or "") + "".join(_inline(part) + (part.tail or "") for part in element)
    if name == "a":
        return link(" ".join(inner.split()), element.get("href") or "") if inner.strip() else inner
    if name == "code" and inner.strip() and "`" not in inner:
        return f"`{inner.strip()}`"
    return emphasise(inner, bold=name in _BOLD, italic=name in _ITALIC)


def _is_layout(table: _Element) -> bool:
    """A table that holds others is there for the looks; so is one of a single cell."""
    if any(local_name(part) == "table" for part in table.iterdescendants()):
        return True
    return sum(local_name(part) in {"td", "th"} for part in table.iter()) <= 1


def _table(table: _Element) -> Table:
    rows = [_row(row) for row in table.iter() if local_name(row) == "tr"]
    caption = next((_inline(part) for part in table if local_name(part) == "caption"), "")
    return Table([row for row in rows if row], " ".join(caption.split()))


def _row(row: _Element) -> Row:
    cells: Row = []
    for cell in row:
        if local_name(cell) in {"td", "th"}:
            cells.append("\n".join(_lines(cell)))
            span = cell.get("colspan") or "1"
            cells += [""] * (min(int(span), _MAX_SPAN) - 1 if span.isdigit() else 0)
    return cells


def _lines(cell: _Element) -> Iterator[str]:
    for block in Walker().blocks(cell):
        yield from (line for line in block.text.split("\n") if line)
