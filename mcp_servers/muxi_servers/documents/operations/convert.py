"""A document of the workspace in another format."""

from __future__ import annotations

from muxi_servers.documents.markdown import clean, render
from muxi_servers.documents.model import Table, Window
from muxi_servers.documents.opening import open_document
from muxi_servers.documents.operations.write import write_draft
from muxi_servers.documents.selection import select
from muxi_servers.documents.writing.draft import Draft
from muxi_servers.documents.writing.formats import format_of
from muxi_servers.documents.writing.saving import check_free
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.documents.model import Document
    from muxi_servers.documents.selection import Selection
    from muxi_servers.kit.workspace import Workspace

__all__ = ["run"]

_ROWS = 20_000
_MAX_CHARACTERS = 2_000_000
_TABLES_ONLY = frozenset(("xlsx", "csv", "tsv"))


def run(arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """See the tool's description."""
    destination, overwrite = arguments["destination"], arguments["overwrite"]
    form = format_of(destination)
    check_free(workspace, destination, overwrite=overwrite)
    with open_document(workspace, arguments["path"], arguments["password"], Window(1, _ROWS)) as opened:
        document = opened.document
        wanted = select(arguments["parts"], document.count, document.unit, document.names)
        if form in _TABLES_ONLY:
            draft = Draft("", _tables(document, wanted), workspace)
        else:
            draft = Draft(_markdown(document, wanted), [], workspace)
    if form in _TABLES_ONLY and not draft.tables:
        raise ToolError(f"{arguments['path']} has no table that could be written as {form}.")
    draft.title = document.metadata.get("title", "")
    draft.author = document.metadata.get("author", "")
    draft.language = document.metadata.get("language", "")
    draft.page_size = arguments["page_size"]
    return write_draft(draft, destination, overwrite=overwrite)


def _tables(document: Document, wanted: Selection) -> list[Table]:
    found = []
    for part in document.parts(wanted):
        for block in part.blocks:
            if isinstance(block, Table):
                _check_whole(block)
                block.name = block.name or part.name
                found.append(block)
    return found


def _markdown(document: Document, wanted: Selection) -> str:
    pieces: list[str] = []
    size = 0
    for part in document.parts(wanted):
        for block in part.blocks:
            _check_whole(block)
        if part.name and document.unit == "sheet":
            pieces.append(f"## {clean(part.name)}")
        pieces.append(render(part.blocks))
        size += len(pieces[-1])
        if size > _MAX_CHARACTERS:
            raise ToolError(
                f"The document has more than {_MAX_CHARACTERS} characters: convert some of its parts at a time."
            )
    return "\n\n".join(pieces)


def _check_whole(block: object) -> None:
    if isinstance(block, Table) and not block.is_whole:
        rows = block.total_rows or "very many"
        raise ToolError(f"A table has {rows} rows; {_ROWS} at most are converted. Use the code server for it.")
