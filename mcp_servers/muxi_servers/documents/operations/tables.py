"""The tables of a document as rows."""

from __future__ import annotations

from muxi_servers.documents.model import Table, Window
from muxi_servers.documents.opening import open_document
from muxi_servers.documents.selection import select
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from muxi_servers.documents.model import Cell, Document
    from muxi_servers.documents.selection import Selection
    from muxi_servers.kit.workspace import Workspace

__all__ = ["run"]

_MAX_TABLES = 200
_MAX_CELL = 10_000
_MAX_CHARACTERS = 400_000


def run(arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """See the tool's description."""
    first, most = int(arguments["first_row"]), int(arguments["max_rows"])
    window = Window(first, most, formulas=arguments["formulas"])
    with open_document(workspace, arguments["path"], arguments["password"], window) as opened:
        document = opened.document
        wanted = select(arguments["parts"], document.count, document.unit, document.names)
        budget = _Budget()
        tables = list(_described(document, wanted, window, budget, int(arguments["table"])))
        if arguments["table"] and not tables:
            raise ToolError(f"There is no table {arguments['table']} in what was asked for.")
        return {
            "path": opened.path,
            "format": document.format,
            "unit": document.unit,
            "tables": tables,
            "complete": not budget.is_spent and all(table["next_row"] is None for table in tables),
        }


class _Budget:
    """Characters that one answer may still have."""

    def __init__(self) -> None:
        self.left = _MAX_CHARACTERS
        self.is_spent = False

    def takes(self, row: list[Cell]) -> bool:
        self.left -= sum(len(str(value)) + 1 for value in row)
        self.is_spent = self.is_spent or self.left < 0
        return not self.is_spent


def _described(
    document: Document, wanted: Selection, window: Window, budget: _Budget, only: int
) -> Iterator[dict[str, Any]]:
    count = 0
    for part in document.parts(wanted):
        for table in part.blocks:
            if not isinstance(table, Table):
                continue
            count += 1
            if only and count != only:
                continue
            if count > _MAX_TABLES or budget.is_spent:
                budget.is_spent = True
                return
            yield {"number": count, "part": part.number, **_table(table, part.name, window, budget)}


def _table(table: Table, part_name: str, window: Window, budget: _Budget) -> dict[str, Any]:
    rows, first = table.rows, table.first_row
    if first < window.first_row:
        rows, first = rows[window.first_row - first :], window.first_row
    kept = []
    for row in rows[: window.max_rows]:
        if not budget.takes(row):
            break
        kept.append([value[:_MAX_CELL] if isinstance(value, str) else value for value in row])
    total = table.total_rows
    end = first + len(kept)
    return {
        "name": (table.name or part_name)[:200],
        "first_row": first,
        "rows": kept,
        "total_rows": total,
        "columns": max((len(row) for row in kept), default=0),
        "next_row": end if total is None or end <= total else None,
    }
