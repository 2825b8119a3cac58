"""A document as Markdown, as much as fits, and where to read on."""

from __future__ import annotations

from muxi_servers.documents.markdown import render
from muxi_servers.documents.model import Table, Window
from muxi_servers.documents.opening import open_document
from muxi_servers.documents.selection import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.documents.model import Document, Part
    from muxi_servers.documents.selection import Selection
    from muxi_servers.kit.workspace import Workspace

__all__ = ["part_text", "run"]

_ROWS = 1_000
_PROGRESS_EVERY = 10


def run(arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """See the tool's description."""
    window = Window(1, _ROWS, formulas=arguments["formulas"])
    with open_document(workspace, arguments["path"], arguments["password"], window) as opened:
        document = opened.document
        wanted = select(arguments["parts"], document.count, document.unit, document.names)
        text, going_on = _gather(document, wanted, int(arguments["offset"]), int(arguments["max_characters"]))
        return {
            "path": opened.path,
            "format": document.format,
            "title": document.metadata.get("title", "")[:1000] or None,
            "unit": document.unit,
            "count": document.count,
            "text": text,
            "next": going_on,
            "notes": list(document.notes),
        }


def part_text(part: Part) -> str:
    """The Markdown of one part, with a line where rows are left out."""
    notes = []
    for block in part.blocks:
        if isinstance(block, Table) and not block.is_whole:
            shown = f"rows {block.first_row} to {block.first_row + len(block.rows) - 1}"
            notes.append(f"[{shown} of {block.total_rows or 'many'}: the tool tables gives others, with first_row]")
    return "\n\n".join([render(part.blocks), *notes])


def _marker(document: Document, part: Part) -> str:
    """A line that says where a part begins; none for a document of one piece."""
    if document.unit == "document":
        return ""
    name = f": {part.name}" if part.name else ""
    marked = f"{document.unit} {part.number} of {document.count}{name}".replace("-->", "")
    return f"<!-- {marked} -->\n\n"


def _gather(document: Document, wanted: Selection, offset: int, most: int) -> tuple[str, dict[str, Any] | None]:
    """The text from `offset` on, counted from the start of the first part wanted; and where it goes on."""
    pieces: list[str] = []
    room = most
    for place, part in enumerate(document.parts(wanted)):
        if place and place % _PROGRESS_EVERY == 0:
            print(f"{document.unit} {part.number}", flush=True)  # noqa: T201 - standard output is progress
        body = f"{_marker(document, part)}{part_text(part).strip()}\n\n"
        if offset >= len(body):
            offset -= len(body)
            continue
        taken = body[offset : offset + room]
        pieces.append(taken)
        room -= len(taken)
        offset += len(taken)
        if offset < len(body.rstrip()):
            return "".join(pieces), {"parts": wanted.from_place(place), "offset": offset}
        offset = 0
        rest = wanted.from_place(place + 1)
        if room <= 0 and rest:
            return "".join(pieces), {"parts": rest, "offset": 0}
    return "".join(pieces).rstrip("\n"), None
