"""The servers that ship with this runtime, found as files: the runtime and its servers meet over MCP only."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["PACKAGE", "built_in_manifests", "shipped_tools"]

PACKAGE = "muxi_servers"


def built_in_manifests() -> dict[str, Path]:
    """Server name (its folder's) to manifest, by name. The package is located, never imported."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    found = {
        manifest.parent.name: manifest for folder in folders or () for manifest in Path(folder).glob("*/manifest.yaml")
    }
    return dict(sorted(found.items()))


def shipped_tools(server: str) -> list[dict[str, Any]] | None:
    """What a built-in server lists with the profile that its manifest asks for; `None`: unknown.

    It is in its `tools.json`, as in the result of `tools/list`. Blocks: it reads a small file.
    """
    manifest = built_in_manifests().get(server)
    try:
        tools: list[dict[str, Any]] = json.loads(manifest.with_name("tools.json").read_bytes()) if manifest else []
    except (OSError, ValueError):
        return None
    return tools or None
