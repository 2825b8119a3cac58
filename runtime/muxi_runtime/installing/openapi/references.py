"""References within a document (`$ref`): followed as JSON Pointers (RFC 6901), never out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from muxi_runtime.errors import ConfigError

__all__ = ["References"]

MAX_CHAIN = 16
MAX_POINTER = 1000
REF = "$ref"


class References:
    """Of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Looks at all references at once, so that none of them leads out of it, used or not.

        Raises:
            ConfigError: one does.
        """
        self._document = document
        level: list[object] = [document]
        while level:
            level = [item for held in level for item in _checked(held)]

    def target(self, pointer: str) -> object:
        """What a reference names.

        Raises:
            ConfigError: it names nothing, or is too long.
        """
        if len(pointer) > MAX_POINTER:
            raise ConfigError(f"The document refers to {pointer[:100]!a}..., of more than {MAX_POINTER} characters.")
        value: object = self._document
        for part in unquote(pointer[1:]).split("/")[1:]:
            value = _step(value, part.replace("~1", "/").replace("~0", "~"), pointer)
        return value

    def resolve(self, value: object) -> Mapping[str, Any]:
        """The object itself, where it stands or where it refers to; empty for what is no object.

        Raises:
            ConfigError: it refers to nothing, or in a circle.
        """
        for _ in range(MAX_CHAIN):
            if not isinstance(value, Mapping):
                return {}
            pointer = value.get(REF)
            if not isinstance(pointer, str):
                return value
            value = self.target(pointer)
        raise ConfigError(f"A reference of the document goes in a circle, or over more than {MAX_CHAIN} others.")


def _checked(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return []
    pointer = value.get(REF)
    if isinstance(pointer, str) and pointer != "#" and not pointer.startswith("#/"):
        raise ConfigError(
            f"The document refers to another one, or to a name: {pointer[:100]!a}. Only places in itself are read.",
            remedy="Make one document of them with a bundler of OpenAPI.",
        )
    return list(value.values())


def _step(value: object, part: str, pointer: str) -> object:
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if isinstance(value, list) and part.isdecimal() and part.isascii() and len(part) < 7 and int(part) < len(value):  # noqa: PLR2004 - digits
        return value[int(part)]
    raise ConfigError(f"The document refers to {pointer[:100]!a}, which is not in it.")
