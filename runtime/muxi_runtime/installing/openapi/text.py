"""The bytes of a document to plain values, bounded in size, depth and count: JSON here, YAML in `yaml_events`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi.yaml_events import MAX_DEPTH, MAX_VALUES, read_yaml, too_many

__all__ = ["MAX_BYTES", "read_text"]

MAX_BYTES = 16 * 2**20


def read_text(data: bytes) -> dict[str, Any]:
    """The one object of a document, its keys text. Blocks, for seconds where it is large.

    Raises:
        ConfigError: it is too large, neither JSON nor YAML, or not an object.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"The document is larger than {MAX_BYTES // 2**20} MiB.", remedy="Take the part of it that you need."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"The document is no UTF-8 text: {error.reason} at byte {error.start}.") from error
    value = _json(text) if text.lstrip()[:1] == "{" else read_yaml(text)
    if not isinstance(value, dict):
        raise ConfigError("The document is no object: it is neither JSON nor YAML of OpenAPI.")
    return value


def _json(text: str) -> object:
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
        _check(value)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ConfigError(f"The document is nested deeper than {MAX_DEPTH} levels.") from None
    except UnicodeEncodeError:
        raise ConfigError("The document holds half a surrogate pair, which is no text.") from None
    except ValueError as error:
        raise ConfigError(f"The document is no JSON: {error}.") from error
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ConfigError("The document has an object with the same key twice.")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _check(value: object) -> None:
    """Bound depth and count, without recursion."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH):
        count += len(level)
        if count > MAX_VALUES:
            raise too_many()
        level = [item for held in level for item in _below(held)]
        if not level:
            return
    raise ConfigError(f"The document is nested deeper than {MAX_DEPTH} levels.")


def _below(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
