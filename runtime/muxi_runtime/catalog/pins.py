"""The pin of a tool, a prompt or a template: a hash over its definition, so that nothing about it changes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from muxi_runtime.catalog.manifest import Manifest

__all__ = ["PinKind", "canonical_json", "identity_of", "name_of", "pin_of"]


class PinKind(StrEnum):
    """What is pinned: all of a server that models read before anybody asked for it."""

    TOOL = "tool"
    PROMPT = "prompt"
    TEMPLATE = "template"


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and ASCII only: the same value gives the same text.

    ASCII, since a definition from an untrusted server may hold half a character, which UTF-8 cannot say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def pin_of(definition: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, over a definition as its server listed it: all fields, unknown ones too."""
    return hashlib.sha256(canonical_json(dict(definition)).encode("ascii")).hexdigest()


def name_of(kind: PinKind, definition: Mapping[str, Any]) -> str:
    """What it is known by: a template by its URIs, since its name need not be its own."""
    return str(definition.get("uriTemplate" if kind is PinKind.TEMPLATE else "name", ""))


def identity_of(manifest: Manifest, image: str) -> str:
    """What a pin holds of the server itself: where it comes from, and the image that runs or the URL that answers."""
    runs = image or manifest.url
    return f"{manifest.install.source} {runs}" if manifest.install else runs
