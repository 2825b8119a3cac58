"""Workbooks, by openpyxl. What is given as text is written as text: nothing becomes a formula."""

from __future__ import annotations

import io
import re

from muxi_servers.documents.markdown import say_cell
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from openpyxl.cell.cell import Cell as Place
    from openpyxl.worksheet.worksheet import Worksheet

    from muxi_servers.documents.model import Cell, Table
    from muxi_servers.documents.writing.draft import Draft

__all__ = ["write_xlsx"]

_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_MAX_NAME = 31
_STARTS = ("=", "+", "-", "@")
_WIDEST = 60
_LARGEST = 2**53


def write_xlsx(draft: Draft) -> bytes:
    """A sheet for each table, the first row bold and always in sight."""
    from openpyxl import Workbook  # noqa: PLC0415 - heavy

    tables = draft.all_tables()
    if not tables:
        raise ToolError("A workbook needs tables: give rows in `tables`, or a table in the Markdown.")
    book = Workbook()
    book.remove(book.active)
    book.properties.title, book.properties.creator = draft.title or None, draft.author or None
    book.properties.language = draft.language or None
    names: set[str] = set()
    for table in tables:
        _fill(book.create_sheet(_name(table.name, names)), table)
    if draft.markdown.strip() and len(draft.markdown.strip().split("\n\n")) > len(tables):
        draft.note("Only tables are in a workbook: the other text was left out.")
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def _name(wanted: str, names: set[str]) -> str:
    base = " ".join(_NOT_IN_NAMES.sub(" ", wanted).split()).strip("'")[:_MAX_NAME] or "Sheet"
    name, count = base, 1
    while name.lower() in names:
        count += 1
        name = f"{base[: _MAX_NAME - len(str(count)) - 1]} {count}"
    names.add(name.lower())
    return name


def _fill(sheet: Worksheet, table: Table) -> None:
    from openpyxl.styles import Font  # noqa: PLC0415 - heavy
    from openpyxl.utils import get_column_letter  # noqa: PLC0415 - heavy

    widths: dict[int, int] = {}
    for number, row in enumerate(table.rows, start=1):
        for column, value in enumerate(row, start=1):
            if value is None:
                continue
            cell = sheet.cell(number, column)
            _put(cell, value)
            widths[column] = max(widths.get(column, 0), *(len(line) for line in say_cell(value).split("\n")))
            if number == 1 and table.has_header:
                cell.font = Font(bold=True)
    for column, width in widths.items():
        sheet.column_dimensions[get_column_letter(column)].width = min(width + 2, _WIDEST)
    if table.has_header and len(table.rows) > 1:
        sheet.freeze_panes = "A2"


def _put(cell: Place, value: Cell) -> None:
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _LARGEST):
        cell.value = value
        return
    text = _NOT_IN_XML.sub("", say_cell(value))
    cell.value = text
    cell.data_type = "s"  # also where it looks like a formula, an error or a date
    if text.startswith(_STARTS):
        cell.quotePrefix = True  # it stays text when a person edits it
