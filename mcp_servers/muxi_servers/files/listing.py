"""The tools `list`, `tree` and `find`."""

from __future__ import annotations

import os

from muxi_servers.files.entry import ENTRY, to_entry, to_line
from muxi_servers.files.glob import matches
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.walk import walk
from muxi_servers.kit.workspace import MAX_DEPTH, OsErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.walk import Found
    from muxi_servers.kit.workspace import Workspace

__all__ = ["LISTING_OUTPUT", "Listing"]

LISTING_OUTPUT = object_schema(
    {
        "path": {"type": "string"},
        "entries": {"type": "array", "items": ENTRY},
        "complete": {"type": "boolean", "description": "false if there is more than is returned"},
    }
)


class Listing:
    """Looks at folders."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def list(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it is no folder.
        """
        return self._tell(call, {**arguments, "depth": 1}, to_line)

    def tree(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it is no folder.
        """
        return self._tell(call, arguments, _tree_line)

    def find(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it is no folder.
        """
        return self._tell(call, {**arguments, "depth": MAX_DEPTH}, to_line)

    def _tell(self, call: Call, arguments: dict[str, Any], line: Callable[[dict[str, Any]], str]) -> ToolResult:
        path, limit = arguments["path"], int(arguments["max_entries"])
        entries: list[dict[str, Any]] = []
        complete = True
        with self._workspace.locate(path) as place, OsErrors(path):
            folder = place.open_folder()
            try:
                for entry in _select(folder, arguments, "" if place.path == "." else f"{place.path}/"):
                    if len(entries) >= limit or call.cancelled:
                        complete = False
                        break
                    entries.append(entry)
            finally:
                os.close(folder)
        lines = [line(entry) for entry in entries] or ["[nothing]"]
        more = [] if complete else [f"[only the first {limit}: narrow it, or raise max_entries]"]
        return ToolResult(
            [text("\n".join([*lines, *more]))], {"path": place.path, "entries": entries, "complete": complete}
        )


def _select(folder: int, arguments: dict[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    for found in walk(folder, int(arguments["depth"])):
        entry = to_entry(prefix + found.path, found.status)
        if _is_wanted(found, entry, arguments):
            yield entry


def _is_wanted(found: Found, entry: dict[str, Any], arguments: dict[str, Any]) -> bool:
    if arguments.get("kind", "any") not in {"any", entry["kind"]}:
        return False
    if entry["size_bytes"] < arguments.get("min_bytes", 0):
        return False
    highest = arguments.get("max_bytes", -1)
    if highest >= 0 and entry["size_bytes"] > highest:
        return False
    return matches(arguments.get("pattern", "**"), found.path)


def _tree_line(entry: dict[str, Any]) -> str:
    folder, _, name = str(entry["path"]).rpartition("/")
    depth = folder.count("/") + bool(folder)
    return "  " * depth + to_line({**entry, "path": name})
