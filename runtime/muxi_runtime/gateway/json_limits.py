"""Bounds on JSON values and on text that a person is shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

__all__ = ["contains_deeper_than", "printable"]


def contains_deeper_than(value: object, levels: int) -> bool:
    """Whether mappings and lists are nested deeper than `levels`; iterative, so that depth cannot exhaust the stack."""
    layer = [value]
    if levels > 0 and type(value) is dict and _SCALARS.issuperset(map(type, value.values())):
        return False  # most arguments
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _children(outer)]
        if not layer:
            return False
    return any(isinstance(rest, (Mapping, list)) for rest in layer)


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _children(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def printable(text: str, limit: int) -> str:
    """The text with invisible, control and direction characters replaced, cut to `limit` characters.

    A question to a person must not be rewritten by what a tool or an argument holds.
    """
    clean = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[:limit] + "..."
