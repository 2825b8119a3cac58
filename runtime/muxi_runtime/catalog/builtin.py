"""The servers that ship with this runtime, found as files: the runtime and its servers meet over MCP only."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["PACKAGE", "built_in_manifests"]

PACKAGE = "muxi_servers"


def built_in_manifests() -> dict[str, Path]:
    """Server name (its folder's) to manifest, by name. The package is located, never imported."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    found = {
        manifest.parent.name: manifest for folder in folders or () for manifest in Path(folder).glob("*/manifest.yaml")
    }
    return dict(sorted(found.items()))
