"""What a document says of itself."""

from __future__ import annotations

from muxi_servers.documents.opening import open_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.documents.opening import Opened
    from muxi_servers.kit.workspace import Workspace

__all__ = ["run", "whole_metadata"]

_MAX_PARTS = 500
_MAX_VALUE = 1_000
_KEYS = ("title", "author", "subject", "language", "created", "modified")


def run(arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """See the tool's description."""
    with open_document(workspace, arguments["path"], arguments["password"]) as opened:
        document = opened.document
        return {
            **whole_metadata(opened),
            "parts": [
                {"number": number, "name": name[:_MAX_VALUE]}
                for number, name in enumerate(document.names[:_MAX_PARTS], start=1)
            ],
            "details": {name: value[:_MAX_VALUE] for name, value in document.details.items()},
            "encrypted": document.encrypted,
        }


def whole_metadata(opened: Opened) -> dict[str, Any]:
    """What every answer about a document has."""
    document = opened.document
    return {
        "path": opened.path,
        "format": document.format,
        "mime_type": document.mime_type,
        "size_bytes": opened.size,
        "unit": document.unit,
        "count": document.count,
        **{key: document.metadata.get(key, "")[:_MAX_VALUE] or None for key in _KEYS},
        "notes": list(document.notes),
    }
