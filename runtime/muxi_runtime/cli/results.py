"""A tool's result for people: text made harmless, images and other binary content into files."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from muxi_runtime.cli.terminal import printable
from muxi_runtime.errors import ServerError, SetupError

__all__ = ["Saver", "lines_of"]

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "audio/wav": ".wav",
    "audio/mpeg": ".mp3",
    "application/pdf": ".pdf",
    "text/csv": ".csv",
}
"""What a tool says its content is decides the suffix, never more of the name."""


class Saver:
    """Writes binary content below a folder, under new names only."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder = folder
        self._stem = stem

    def save(self, data: bytes, mime: str) -> Path:
        """Write to the first free name; never onto an existing file or through a link.

        Raises:
            SetupError: the folder cannot be written to.
        """
        suffix = SUFFIXES.get(mime, ".bin")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                path = self._folder / f"{self._stem}-{number}{suffix}"
                try:
                    with path.open("xb") as file:
                        file.write(data)
                except FileExistsError:
                    continue
                return path
        except OSError as error:
            raise SetupError(
                f"{self._folder}: cannot be written to: {error.strerror}.", step="save", remedy="Choose another --save."
            ) from error
        raise AssertionError("unreachable: the count has no end")


def lines_of(result: Mapping[str, Any], saver: Saver | None) -> Iterator[str]:
    """The result, block by block, as text that cannot act on a terminal."""
    content = result.get("content") or []
    for block in content:
        yield printable(_line(block, saver))
    if not content and result.get("structuredContent") is not None:
        yield json.dumps(result["structuredContent"], indent=2)


def _line(block: Mapping[str, Any], saver: Saver | None) -> str:
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text", ""))
    if kind in {"image", "audio"}:
        return _binary(str(kind), block.get("data"), str(block.get("mimeType", "")), saver)
    if kind == "resource":
        return _resource(block.get("resource") or {}, saver)
    if kind == "resource_link":
        return f"[link: {block.get('name', '')} {block.get('uri', '')}]"
    return f"[{kind}: {json.dumps(block)}]"


def _resource(resource: Mapping[str, Any], saver: Saver | None) -> str:
    if "text" in resource:
        return str(resource["text"])
    return _binary(str(resource.get("uri", "resource")), resource.get("blob"), str(resource.get("mimeType", "")), saver)


def _binary(what: str, encoded: object, mime: str, saver: Saver | None) -> str:
    try:
        data = base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServerError(f"The tool's {what} is not base64: {error}.") from error
    described = f"{what} {mime or 'of no type'}, {len(data)} bytes"
    return f"[{described}: {saver.save(data, mime)}]" if saver else f"[{described}: --save DIR writes it to a file]"
