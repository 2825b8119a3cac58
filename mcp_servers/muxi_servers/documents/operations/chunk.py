"""A document in pieces for a memory: cut at headings first, then by size, each with its place."""

from __future__ import annotations

from muxi_servers.documents.cutting import Cut, cut, estimate_tokens
from muxi_servers.documents.model import Window
from muxi_servers.documents.opening import open_document
from muxi_servers.documents.selection import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.documents.model import Document, Part
    from muxi_servers.documents.selection import Selection
    from muxi_servers.kit.workspace import Workspace

__all__ = ["run"]

_ROWS = 100_000
_MAX_CHARACTERS = 600_000


def run(arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """See the tool's description."""
    with open_document(workspace, arguments["path"], arguments["password"], Window(1, _ROWS)) as opened:
        document = opened.document
        wanted = select(arguments["parts"], document.count, document.unit, document.names)
        chunks, going_on = _gather(document, wanted, arguments)
        return {
            "path": opened.path,
            "format": document.format,
            "title": document.metadata.get("title", "")[:1000] or None,
            "unit": document.unit,
            "count": document.count,
            "chunks": chunks,
            "next": going_on,
        }


def _gather(
    document: Document, wanted: Selection, arguments: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Chunks of the parts wanted, `skip` of the first part left out; and where it goes on."""
    chunks: list[dict[str, Any]] = []
    headings: list[str] = []
    skip, written = int(arguments["skip"]), 0
    for place, part in enumerate(document.parts(wanted)):
        cuts, headings = cut(
            part.blocks,
            headings,
            size=int(arguments["size"]),
            overlap=int(arguments["overlap"]),
            in_tokens=arguments["unit"] == "tokens",
        )
        for index, found in enumerate(cuts[skip:], start=skip):
            written += len(found.text)
            if len(chunks) >= int(arguments["max_chunks"]) or written > _MAX_CHARACTERS:
                return chunks, {"parts": wanted.from_place(place), "skip": index}
            chunks.append(_described(found, part, index))
        skip = max(skip - len(cuts), 0)
    return chunks, None


def _described(found: Cut, part: Part, index: int) -> dict[str, Any]:
    return {
        "text": found.text,
        "headings": found.headings,
        "part": part.number,
        "part_name": part.name[:200],
        "index": index,
        "start": found.start,
        "end": found.end,
        "characters": len(found.text),
        "estimated_tokens": estimate_tokens(found.text),
    }
