"""A new document out of Markdown and rows."""

from __future__ import annotations

from muxi_servers.documents.model import Table
from muxi_servers.documents.writing.draft import Draft
from muxi_servers.documents.writing.formats import format_of, render
from muxi_servers.documents.writing.saving import check_free, save
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.workspace import Workspace

__all__ = ["run", "write_draft"]


def run(arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """See the tool's description."""
    tables = [Table(table["rows"], table.get("name", "")) for table in arguments["tables"]]
    draft = Draft(arguments["markdown"], tables, workspace)
    draft.title, draft.author, draft.language = (arguments[key] for key in ("title", "author", "language"))
    draft.page_size = arguments["page_size"]
    if not draft.whole_markdown().strip():
        raise ToolError("There is nothing to write: give `markdown`, `tables`, or both.")
    return write_draft(draft, arguments["path"], overwrite=arguments["overwrite"])


def write_draft(draft: Draft, path: str, *, overwrite: bool) -> dict[str, Any]:
    """Write it where the path says; the answer of `write` and `convert`.

    Raises:
        ToolError: it cannot be written there, or not in that format.
    """
    form = format_of(path)
    check_free(draft.workspace, path, overwrite=overwrite)
    data = render(form, draft)
    found, created = save(draft.workspace, path, data, overwrite=overwrite)
    return {"path": found, "format": form, "size_bytes": len(data), "created": created, "notes": draft.notes}
