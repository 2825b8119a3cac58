"""Excel workbooks, by openpyxl: streamed row by row, values as they were last calculated."""

from __future__ import annotations

from itertools import islice, zip_longest

from muxi_servers.documents.formats.office import take_properties
from muxi_servers.documents.model import Document, Part, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from muxi_servers.documents.model import Cell, Row, Window
    from muxi_servers.documents.package import Package

__all__ = ["open_xlsx"]

_MAX_COLUMNS = 1_000
_COUNTED_AFTER = 20_000  # rows after those asked for: so far they are counted


def open_xlsx(file: BinaryIO, package: Package, mime_type: str, window: Window) -> Document:
    """The document: a part for each sheet. A formula without a value is shown as itself."""
    from openpyxl import load_workbook  # noqa: PLC0415 - heavy

    values = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    formulas = values
    if _has_formulas(package):  # else half the work is saved
        formulas = load_workbook(file, read_only=True, data_only=False, keep_links=False)
    names = [sheet.title for sheet in values.worksheets]

    def read(number: int) -> Part:
        books = (values,) if formulas is values else (values, formulas)
        sheets = [book.worksheets[number - 1] for book in books]
        return Part(number, [_table(sheets, names[number - 1], window)], names[number - 1])

    document = Document("xlsx", mime_type, "sheet", len(names), read)
    document.names = names
    take_properties(document, package)
    hidden = [sheet.title for sheet in values.worksheets if sheet.sheet_state != "visible"]
    if hidden:
        document.notes.append(f"Hidden sheets: {', '.join(hidden)}.")
    return document


def _has_formulas(package: Package) -> bool:
    sheets = [name for name in package.names if name.startswith("xl/worksheets/") and name.endswith(".xml")]
    return any(mark in data for data in map(package.read, sheets) for mark in (b"<f>", b"<f ", b":f>", b":f "))


def _table(sheets: list[Any], name: str, window: Window) -> Table:
    for sheet in sheets:
        sheet.reset_dimensions()  # what the file says of them may be wrong, or a lie
    pairs = zip_longest(*(sheet.iter_rows(values_only=True) for sheet in sheets), fillvalue=())
    rows: list[Row] = []
    total = last = 0
    most = window.first_row + window.max_rows + _COUNTED_AFTER
    for total, pair in enumerate(islice(pairs, most), start=1):
        shown, formulas = pair[0], pair[-1]
        if not any(value is not None for value in formulas):
            continue
        last = total
        if window.first_row <= total < window.first_row + window.max_rows:
            rows += [[] for _ in range(total - window.first_row - len(rows))]
            rows.append(_row(list(shown), list(formulas), formulas_wanted=window.formulas))
    table = Table(rows, name)
    table.first_row, table.total_rows = window.first_row, last if total < most else None
    return table


def _row(shown: list[Any], formulas: list[Any], *, formulas_wanted: bool) -> Row:
    cells = list(_cells(shown[:_MAX_COLUMNS], formulas[:_MAX_COLUMNS], formulas_wanted=formulas_wanted))
    while cells and cells[-1] is None:
        cells.pop()
    return cells


def _cells(shown: list[Any], formulas: list[Any], *, formulas_wanted: bool) -> Iterator[Cell]:
    for value, formula in zip_longest(shown, formulas):
        is_formula = isinstance(formula, str) and formula.startswith("=") and value != formula
        yield _plain(formula if is_formula and (formulas_wanted or value is None) else value)


def _plain(value: object) -> Cell:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - not a number
            return str(value)
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00").replace("T", " ")
    if hasattr(value, "text"):  # an array formula
        return str(value.text)
    return str(value)
