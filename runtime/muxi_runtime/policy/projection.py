"""What Cedar is shown of a call: its facts as Cedar values. Pure.

Cedar has no null, no fractions and no open records. Arguments become the tags of one entity, and only those that
some rule reads: what no rule reads costs nothing and cannot hide anything. What cannot be shown truly is an error,
never a guess, and an error is a denial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from muxi_runtime.policy.provenance import Origin, worst

__all__ = ["MAX_TEXT", "UnreadableError", "argument_tags", "tool_annotations"]

MAX_TEXT = 256 * 1024
"""Characters of all arguments together that rules may read in one call."""

_LONG = 2**63 - 1

# MCP's own defaults for hints that are missing: the worst for each.
_HINTS = (
    ("readOnlyHint", "read_only", False),
    ("destructiveHint", "destructive", True),
    ("idempotentHint", "idempotent", False),
    ("openWorldHint", "open_world", True),
)


class UnreadableError(ValueError):
    """An argument that a rule reads cannot be shown to it."""


def tool_annotations(hints: Mapping[str, Any]) -> dict[str, bool]:
    """MCP's hints as Cedar's record; one that is missing or no boolean counts as the worst."""
    return {ours: hints[mcp] if isinstance(hints.get(mcp), bool) else worst for mcp, ours, worst in _HINTS}


def argument_tags(
    arguments: Mapping[str, Any], reads: Iterable[str], origins: Mapping[str, Origin] | None = None
) -> dict[str, Any]:
    """The arguments of these names that are there, each with its origin if origins are known.

    A name is a path (a JSON pointer without its first slash, RFC 6901): `path`, `options/depth`, `files/0`.

    Raises:
        UnreadableError: one is too large, no JSON value, or no valid Unicode.
    """
    tags: dict[str, Any] = {}
    left = MAX_TEXT
    for name in reads:
        found, value = _at(arguments, name)
        if not found:
            continue
        tag = _tag(name, value)
        left -= len(tag["text"])
        if left < 0:
            raise UnreadableError(f"the arguments that rules read have more than {MAX_TEXT} characters")
        if origins is not None:
            tag["origin"] = _origin(name, value, origins)
        tags[name] = tag
    return tags


def _origin(name: str, value: object, origins: Mapping[str, Origin]) -> Origin:
    """The worst of all in it. What nobody looked at may be a stranger's."""
    known = [origin for path, origin in origins.items() if f"{path}/".startswith(f"{name}/")]
    return worst(known) if known or value in ({}, [], ()) else "stranger"


def _at(arguments: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    value: Any = arguments
    for part in name.split("/"):
        step = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list | tuple) and _is_index(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return False, None
    return True, value


def _is_index(step: str) -> bool:
    return step == "0" or (step.isascii() and step.isdigit() and step[0] != "0" and len(step) < 10)  # noqa: PLR2004


def _tag(name: str, value: object) -> dict[str, Any]:
    tag: dict[str, Any] = {"kind": _kind(name, value), "text": _text(name, value)}
    if tag["kind"] == "number":
        tag["low"], tag["high"] = _bounds(name, value)
    if isinstance(value, list | tuple):
        tag["items"] = [_text(name, item) for item in value]
    return tag


def _kind(name: str, value: object) -> str:
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "string"),
        (bool, "boolean"),  # before numbers: a bool is an int in Python
        ((int, float), "number"),
        ((list, tuple), "list"),
        (Mapping, "object"),
    )
    if value is None:
        return "null"
    for types, kind in kinds:
        if isinstance(value, types):
            return kind
    raise UnreadableError(f"the argument {name!r} is no JSON value")


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        text: str = value
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise UnreadableError(f"the argument {name!r} is no JSON value") from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnreadableError(f"the argument {name!r} is no valid Unicode") from error
    return text


def _bounds(name: str, value: object) -> tuple[int, int]:
    """The whole numbers at or below and at or above, held to 64 bits: comparisons stay true at both ends."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise UnreadableError(f"the argument {name!r} is no JSON number")
    return _held(math.floor(value)), _held(math.ceil(value))


def _held(number: int) -> int:
    return max(-_LONG - 1, min(_LONG, number))
