"""How one file or folder is told."""

from __future__ import annotations

import os
import stat
from time import gmtime, strftime

from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.workspace import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ENTRY", "ENTRY_PROPERTIES", "KINDS", "to_entry", "to_line"]

KINDS = ["file", "folder", "link", "fifo", "socket", "device"]
_LAST_YEAR = 253_402_300_799  # the end of 9999
ENTRY_PROPERTIES: dict[str, dict[str, Any]] = {
    "path": {"type": "string"},
    "kind": {"type": "string", "enum": KINDS},
    "size_bytes": {"type": "integer", "minimum": 0, "description": "0 for anything but a file"},
    "modified": {"type": "string", "description": "UTC"},
}
ENTRY = object_schema(ENTRY_PROPERTIES)


def to_entry(path: str, status: os.stat_result) -> dict[str, Any]:
    """Fits `ENTRY`."""
    when = gmtime(min(max(status.st_mtime, 0), _LAST_YEAR))
    return {
        "path": path,
        "kind": kind_of(status.st_mode),
        "size_bytes": status.st_size if stat.S_ISREG(status.st_mode) else 0,
        "modified": strftime("%Y-%m-%dT%H:%M:%SZ", when),
    }


def to_line(entry: dict[str, Any]) -> str:
    """One line for the model."""
    if entry["kind"] == "folder":
        return f"{entry['path']}/"
    size = f"{entry['size_bytes']} bytes" if entry["kind"] == "file" else entry["kind"]
    return f"{entry['path']}  {size}"
