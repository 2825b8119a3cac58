"""Tables of HTML to tables of Markdown."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Element = Any

__all__ = ["table_lines"]

_MAX_COLUMNS = 100
_MAX_SPAN = 100


def table_lines(table: Element, to_text: Callable[[Element], str]) -> list[str] | None:
    """The lines of a table, the first row its head; a cell that spans columns is followed by empty ones.

    `None` if it is no table but a way to lay a page out: it has one column or no rows, or other tables in it.
    """
    if any(True for below in table.iter("table") if below is not table):
        return None
    caption = ""
    rows: list[list[str]] = []
    for row in _rows(table):
        if row.tag == "caption":
            caption = to_text(row)
            continue
        cells = _cells(row, to_text)
        if any(cells):
            rows.append(cells)
    width = max(map(len, rows), default=0)
    if width <= 1:
        return None
    padded = [row + [""] * (width - len(row)) for row in rows]
    head, *body = [f"| {' | '.join(row)} |" for row in padded]
    return [*([caption, ""] if caption else []), head, f"|{' --- |' * width}", *body]


def _rows(table: Element) -> Iterator[Element]:
    for part in table:
        if part.tag in {"thead", "tbody", "tfoot"}:
            yield from (row for row in part if row.tag == "tr")
        elif part.tag in {"tr", "caption"}:
            yield part


def _cells(row: Element, to_text: Callable[[Element], str]) -> list[str]:
    cells: list[str] = []
    for cell in row:
        if cell.tag not in {"td", "th"} or len(cells) >= _MAX_COLUMNS:
            continue
        cells.append(to_text(cell).replace("|", "\\|"))
        cells += [""] * (min(_span(cell), _MAX_SPAN) - 1)
    return cells[:_MAX_COLUMNS]


def _span(cell: Element) -> int:
    told = cell.get("colspan") or ""
    return int(told) if told.isascii() and told.isdigit() and 0 < len(told) < 4 else 1  # noqa: PLR2004 - digits
