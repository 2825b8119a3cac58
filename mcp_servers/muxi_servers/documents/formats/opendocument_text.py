"""Text and cells of OpenDocument."""

from __future__ import annotations

from muxi_servers.documents.formats.office import attribute
from muxi_servers.documents.markdown import link, plain
from muxi_servers.documents.xml import local_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from muxi_servers.documents.model import Cell, Row

__all__ = ["inline", "rows_of"]

_LEFT_OUT = frozenset(("tracked-changes", "text-box", "annotation", "bookmark", "deletion"))
_MAX_REPEATED = 1_000  # spreadsheets repeat blank rows and cells a million times
_MAX_SPACES = 100
_LARGEST = 2**53  # a double holds no more


def inline(element: _Element) -> str:
    """The text of a paragraph, with links, on as many lines as it has breaks."""
    return plain("".join(_pieces(element)))


def _pieces(element: _Element) -> Iterator[str]:
    yield element.text or ""
    for part in element:
        yield _piece(part)
        yield part.tail or ""


def _piece(part: _Element) -> str:
    name = local_name(part)
    if name in _LEFT_OUT or not name:
        return ""
    if name == "s":
        count = attribute(part, "c")
        return " " * min(int(count) if count.isdigit() else 1, _MAX_SPACES)
    if name in {"tab", "line-break"}:
        return "\t" if name == "tab" else "\n"
    return _group(part, name, "".join(_pieces(part)))


def _group(part: _Element, name: str, inner: str) -> str:
    if name == "note":
        return f" ({' '.join(inner.split())})"
    if name == "a":
        return link(inner, attribute(part, "href"))
    if name in {"desc", "title"}:
        return f"[picture: {' '.join(inner.split())}]"
    return inner.strip() if name == "frame" else inner


def rows_of(table: _Element, *, formulas: bool = False) -> Iterator[Row]:
    """Rows of values without the blank ones at the end; numbers and truth values as such."""
    blank = 0
    for row in table.iter():
        if local_name(row) != "table-row" or _owner(row) is not table:
            continue
        cells = _row(row, formulas=formulas)
        count = _repeated(row, "number-rows-repeated")
        if not cells:
            blank = min(blank + count, _MAX_REPEATED)
            continue
        for _ in range(blank):
            yield []
        blank = 0
        for _ in range(count):
            yield list(cells)


def _owner(row: _Element) -> _Element | None:
    return next((above for above in row.iterancestors() if local_name(above) == "table"), None)


def _repeated(element: _Element, name: str) -> int:
    count = attribute(element, name)
    return min(int(count), _MAX_REPEATED) if count.isdigit() and len(count) < 10 else 1  # noqa: PLR2004 - digits


def _row(row: _Element, *, formulas: bool) -> Row:
    cells: Row = []
    blank = 0
    for cell in row:
        name = local_name(cell)
        if name not in {"table-cell", "covered-table-cell"}:
            continue
        value = _value(cell, formulas=formulas)
        count = _repeated(cell, "number-columns-repeated")
        if value is None:
            blank = min(blank + count, _MAX_REPEATED)
            continue
        cells += [None] * blank + [value] * count
        blank = 0
    return cells


def _value(cell: _Element, *, formulas: bool) -> Cell:
    formula = attribute(cell, "formula")
    if formulas and formula:
        return f"={formula.partition('=')[2]}"
    kind = attribute(cell, "value-type")
    if kind == "float":
        return _number(cell)
    if kind == "boolean":
        return attribute(cell, "boolean-value") == "true"
    if kind == "date":
        return attribute(cell, "date-value")
    return _words(cell)


def _words(cell: _Element) -> Cell:
    words = [inline(part).strip() for part in cell if local_name(part) in {"p", "h"}]
    return "\n".join(words) or None


def _number(cell: _Element) -> Cell:
    try:
        number = float(attribute(cell, "value"))
    except ValueError:
        return _words(cell)
    return int(number) if number.is_integer() and abs(number) < _LARGEST else number
