"""The servers that were added with a command: a folder each below `servers/` of the state folder.

servers/NAME/manifest.yaml   as `muxi-runtime servers add` wrote it; the operator may edit its profile
servers/NAME/parts.json      what was installed: name, version and hash of each package
servers/NAME.disabled        whoever has this file is not offered, built-in servers too
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.errors import SetupError, UnknownToolError

__all__ = ["AddedServers"]

MANIFEST, PARTS, DISABLED = "manifest.yaml", "parts.json", ".disabled"
HEADER = "# Written by `muxi-runtime servers add`. You may edit it: `servers update` keeps your profile.\n"


class AddedServers:
    """See the module. Calls read and write small files: call them from a thread."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "servers"

    def manifests(self) -> dict[str, Path]:
        """The manifests, by server name."""
        found = {path.parent.name: path for path in self.folder.glob(f"*/{MANIFEST}")}
        return dict(sorted(found.items()))

    def manifest(self, name: str) -> Path:
        """The manifest of one.

        Raises:
            UnknownToolError: none of that name was added.
        """
        manifests = self.manifests()
        if name not in manifests:
            known = ", ".join(manifests) or "none"
            raise UnknownToolError(
                f"No server {name!r} was added with a command.",
                remedy=f"Those that were: {known}. `muxi-runtime servers list` shows the others, too.",
            )
        return manifests[name]

    def disabled(self) -> frozenset[str]:
        """Names that a command switched off."""
        return frozenset(path.name.removesuffix(DISABLED) for path in self.folder.glob(f"*{DISABLED}"))

    def parts(self, name: str) -> list[Mapping[str, str]]:
        """What was installed for it; empty where nothing is written."""
        try:
            parts = json.loads((self.folder / name / PARTS).read_bytes())
        except (OSError, ValueError):
            return []
        return parts if isinstance(parts, list) else []

    def put(self, manifest: Manifest, parts: Sequence[Mapping[str, str]]) -> Path:
        """Write a server's folder; its manifest.

        Each file is replaced whole, the manifest last: whoever is killed in between leaves the server as it was.

        Raises:
            SetupError: it cannot be written.
        """
        fields = manifest.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
        folder = self.folder / manifest.name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(folder / PARTS, json.dumps(list(parts), indent=1) + "\n")
            _replace(folder / MANIFEST, HEADER + text)
        except OSError as error:
            raise SetupError(f"{folder} cannot be written to: {error}.", step="servers") from error
        return folder / MANIFEST

    def remove(self, name: str) -> bool:
        """Remove a server's folder; whether there was one.

        Raises:
            SetupError: it cannot be removed.
        """
        folder = self.folder / name
        if name not in self.manifests():
            return False
        try:
            shutil.rmtree(folder)
            self.enable(name)
        except OSError as error:
            raise SetupError(f"{folder} cannot be removed: {error}.", step="servers") from error
        return True

    def disable(self, name: str) -> None:
        """Switch a server off."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / f"{name}{DISABLED}").touch(mode=0o600)

    def enable(self, name: str) -> None:
        """Switch it on again; no error if it is on."""
        (self.folder / f"{name}{DISABLED}").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
