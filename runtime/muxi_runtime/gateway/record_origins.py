"""Whether all of a structured result comes from origins that are trusted: whose mails, which site's pages. Pure.

A record is a JSON object with the field that names its origin; all that is inside of it is its. A text that is in no
record has no origin, and nothing of the result is trusted then. Nor is it where the result says more than its
structured content does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["comes_from"]

READ = frozenset({"structuredContent", "content", "resultType", "_meta"})
SERVER_INFO = "io.modelcontextprotocol/serverInfo"
"""Servers of 2026-07-28 put their own name under it into each result."""
COMPLETE = "complete"
NOBODY = re.compile(r"(?!)")
_NAME = re.compile(r"[A-Za-z_][\w./-]{0,63}", re.ASCII)
"""Of a field: text of strangers could stand in others."""


def comes_from(result: Mapping[str, Any], field: str, trusted: re.Pattern[str]) -> bool:
    """Whether each record of a tool's result, as MCP has it, names an origin in `field` that is trusted as a whole."""
    structured = result.get("structuredContent")
    meta = result.get("_meta") or {}
    if result.get("isError") or not isinstance(structured, Mapping) or not isinstance(meta, Mapping):
        return False
    beside = [result[key] for key in result.keys() - READ] + [meta[key] for key in meta.keys() - {SERVER_INFO}]
    if not all(_is_trusted(value, field, NOBODY) for value in beside):
        return False
    if result.get("resultType", COMPLETE) != COMPLETE:
        return False
    said = [structured, *structured.values()]
    said += [item for value in structured.values() if isinstance(value, list) for item in value]
    blocks = result.get("content") or []
    return all(_says_no_more(block, said) for block in blocks) and _is_trusted(structured, field, trusted)


def _is_trusted(value: object, field: str, trusted: re.Pattern[str]) -> bool:
    if isinstance(value, Mapping):
        if field in value:
            origin = value[field]
            return isinstance(origin, str) and _matches(origin, trusted)
        return all(_NAME.fullmatch(key) and _is_trusted(item, field, trusted) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_trusted(item, field, trusted) for item in value)
    return not isinstance(value, str)


def _matches(origin: str, trusted: re.Pattern[str]) -> bool:
    # Without regard to case, letters such as the dotless i and the Kelvin sign match the `i` and `k` of a name that is
    # another one. Hosts have an ASCII form, by which they can be trusted.
    return origin.isascii() and trusted.fullmatch(origin.strip()) is not None


def _says_no_more(block: object, said: list[Any]) -> bool:
    """Whether it is the JSON of the structured content, or of a part of it."""
    if not isinstance(block, Mapping) or block.keys() - {"type", "text"} or block.get("type") != "text":
        return False
    try:
        return json.loads(block["text"], object_pairs_hook=_once_each) in said
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A reader may take another one of two entries than we do."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an entry comes twice")
    return found
