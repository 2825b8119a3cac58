"""The pin of a tool: a hash over its whole definition, so that nothing about it changes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from muxi_runtime.catalog.manifest import Manifest

__all__ = ["canonical_json", "identity_of", "pin_of"]


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and ASCII only: the same value gives the same text.

    ASCII, since a definition from an untrusted server may hold half a character, which UTF-8 cannot say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def pin_of(definition: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, over a definition as its server listed it: all fields, unknown ones too."""
    return hashlib.sha256(canonical_json(dict(definition)).encode("ascii")).hexdigest()


def identity_of(manifest: Manifest, image: str) -> str:
    """What a pin holds of the server itself: where it comes from, and the image that runs or the URL that answers."""
    runs = image or manifest.url
    return f"{manifest.install.source} {runs}" if manifest.install else runs
