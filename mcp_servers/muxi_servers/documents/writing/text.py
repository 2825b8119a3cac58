"""Markdown, CSV and TSV."""

from __future__ import annotations

import csv
import io

from muxi_servers.documents.markdown import say_cell
from muxi_servers.documents.writing.draft import number_of
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.model import Cell
    from muxi_servers.documents.writing.draft import Draft

__all__ = ["write_csv", "write_markdown", "write_tsv"]

_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_markdown(draft: Draft) -> bytes:
    """As it was given, the tables below."""
    return (draft.whole_markdown().rstrip("\n") + "\n").encode()


def write_csv(draft: Draft) -> bytes:
    """The only table, its fields separated by commas."""
    return _write(draft, ",")


def write_tsv(draft: Draft) -> bytes:
    """The only table, its fields separated by tabulators."""
    return _write(draft, "\t")


def _write(draft: Draft, delimiter: str) -> bytes:
    tables = draft.all_tables()
    if len(tables) != 1:
        raise ToolError(
            f"A CSV or TSV file holds one table; {len(tables)} were given. Write XLSX, or one file for each."
        )
    held = io.StringIO()
    writer = csv.writer(held, delimiter=delimiter, lineterminator="\r\n" if delimiter == "," else "\n")
    for row in tables[0].rows:
        writer.writerow([_field(draft, value) for value in row])
    return held.getvalue().encode()


def _field(draft: Draft, value: Cell) -> str:
    """A spreadsheet takes a text that begins with one of these signs for a formula, unless a quote is before it."""
    text = say_cell(value)
    if not isinstance(value, str) or not text.startswith(_STARTS) or not isinstance(number_of(text), str):
        return text
    draft.note("Texts that begin with = + - or @ have a quote before them, so that no spreadsheet runs them.")
    return f"'{text}"
