"""What the runtime last heard of a tool, for commands that work without it. Read from its cache; a hint, no proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from muxi_runtime.catalog.tool_cache import MAX_CACHE_BYTES

__all__ = ["known_definition"]


def known_definition(home: Path, server: str, tool: str) -> dict[str, Any]:
    """The tool's definition as last listed; empty when it is not known, or the cache is damaged."""
    path = home / "cache" / "tools.json"
    try:
        if path.stat().st_size > MAX_CACHE_BYTES:
            return {}
        entries = json.loads(path.read_bytes())
        tools = entries[server]["tools"]
        found: object = next((entry for entry in tools if entry["name"] == tool), {})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
