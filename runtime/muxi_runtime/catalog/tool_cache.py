"""The tools that each server listed last, so that listing them needs no sandbox.

One small JSON file below the home folder, `cache/tools.json`. It is a cache: a file that is lost, damaged or
of another shape is an empty one. What it says of a server counts only for the same content: manifest and
image.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.pins import canonical_json

__all__ = ["MAX_CACHE_BYTES", "Definition", "ToolCache", "content_key"]

MAX_CACHE_BYTES = 64 * 2**20
"""A larger file is not read."""

Definition: TypeAlias = dict[str, Any]
"""A tool's definition as listed: JSON values, names as on the wire."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    content: str
    tools: list[Definition]


_ENTRIES = TypeAdapter(dict[str, _Entry])


def content_key(manifest: Manifest, image: str) -> str:
    """What decides which tools a server lists: a hash over its manifest and the id of its image."""
    text = canonical_json([manifest.model_dump(mode="json"), image])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class ToolCache:
    """Remembers definitions. Its methods read and write a small file: call them from a thread, or from several."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, _Entry] | None = None
        self._lock = Lock()

    def get(self, server: str, content: str) -> list[Definition] | None:
        """The server's tools, or `None` when they are not known for this content."""
        with self._lock:
            entry = self._loaded().get(server)
        return list(entry.tools) if entry and entry.content == content else None

    def put(self, server: str, content: str, tools: Sequence[Mapping[str, Any]]) -> None:
        """Remember them, in place of what the server listed before; the file is replaced whole.

        Raises:
            OSError: the folder cannot be written to; the tools are remembered until the process ends.
        """
        entry = _Entry(content=content, tools=[dict(tool) for tool in tools])
        with self._lock:
            entries = self._loaded()
            if entries.get(server) == entry:
                return
            entries[server] = entry
            self._write({name: entry.model_dump() for name, entry in entries.items()})

    def names(self) -> dict[str, list[str]]:
        """The tools of every server that is remembered, for whatever content; not the lists beside tools."""
        return {
            server: [str(tool.get("name")) for tool in entry.tools]
            for server, entry in self._loaded().items()
            if "/" not in server
        }

    def _loaded(self) -> dict[str, _Entry]:
        if self._entries is None:
            self._entries = self._read()
        return self._entries

    def _read(self) -> dict[str, _Entry]:
        try:
            if self._path.stat().st_size > MAX_CACHE_BYTES:
                return {}
            return _ENTRIES.validate_python(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, RecursionError, ValidationError):
            return {}

    def _write(self, document: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".tools-", dir=self._path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(document, file)
            temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)
