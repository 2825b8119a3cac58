"""CSV and TSV."""

from __future__ import annotations

import csv
import io
from itertools import islice

from muxi_servers.documents.formats.characters import to_text
from muxi_servers.documents.model import Document, Part, Table
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from muxi_servers.documents.model import Block, Row, Window

__all__ = ["delimiter_of", "open_delimited"]

_DELIMITERS = "\t;,|"
_LOOKED_AT = 30
_CERTAIN_LINES = 2
_MAX_FIELD = 1_000_000


def delimiter_of(text: str, *, certain: bool) -> str:
    """What separates the fields; empty if it does not look like a table.

    With `certain` every row has to have the same number of fields, and there have to be two at least.
    """
    for delimiter in _DELIMITERS:
        try:
            rows = [row for row in islice(csv.reader(io.StringIO(text), delimiter=delimiter), _LOOKED_AT + 1) if row]
        except csv.Error:
            continue
        whole = rows[:-1] if len(rows) > _LOOKED_AT else rows  # the last may be cut
        widths = {len(row) for row in whole}
        if not widths or max(widths) == 1:
            continue
        if not certain or (len(widths) == 1 and len(whole) >= _CERTAIN_LINES and not _is_prose(whole)):
            return delimiter
    return ""


def _is_prose(rows: list[list[str]]) -> bool:
    """Lines of sentences that happen to have as many commas each."""
    fields = [field for row in rows for field in row]
    return sum(len(field) for field in fields) > 60 * len(fields)


def open_delimited(file: BinaryIO, form: str, mime_type: str, window: Window) -> Document:
    """The document; its table is read through once, to count its rows."""
    text, encoding = to_text(file.read())
    delimiter = delimiter_of(text[:65_536], certain=False) or ("\t" if form == "tsv" else ",")

    def read(_: int) -> Part:
        blocks: list[Block] = [_table(text, delimiter, window)]
        return Part(1, blocks)

    document = Document(form, mime_type, "document", 1, read)
    document.details.update(encoding=encoding, delimiter="tab" if delimiter == "\t" else delimiter)
    return document


def _table(text: str, delimiter: str, window: Window) -> Table:
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    first = window.first_row
    total = 0
    rows: list[Row] = []
    try:
        for row in reader:
            total += 1
            if first <= total < first + window.max_rows:
                rows.append(list(row))
    except csv.Error as error:
        raise ToolError(f"Line {reader.line_num} is not to be read as a row: {error}.") from None
    table = Table(rows)
    table.first_row, table.total_rows = first, total
    return table
