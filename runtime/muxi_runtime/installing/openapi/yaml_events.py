"""YAML to plain values by the events of PyYAML's parser: aliases are counted as what they stand for, tags are refused.

The parser is the one in Python, not libyaml: it is slower, and nothing that a stranger wrote is read by C.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import yaml

from muxi_runtime.errors import ConfigError
from muxi_runtime.yaml_text import SCALARS, TAG

__all__ = ["MAX_DEPTH", "MAX_VALUES", "MAX_YAML_BYTES", "read_yaml", "too_many"]

MAX_YAML_BYTES = 4 * 2**20
MAX_DEPTH = 100
MAX_VALUES = 1_000_000
"""With what aliases stand for counted each time: an alias bomb is refused by its first lines."""
MERGE = "<<"


def too_many() -> ConfigError:
    """The refusal of a document with more values than are read."""
    return ConfigError(
        f"The document holds more than {MAX_VALUES} values, with what its aliases stand for.",
        remedy="Take the part of it that you need.",
    )


def read_yaml(text: str) -> object:
    """The value of the one document. Blocks, some 4 s for each MiB.

    Raises:
        ConfigError: it is none, or too large, too deep or too much.
    """
    if len(text) > MAX_YAML_BYTES:
        raise ConfigError(
            f"A document in YAML may have {MAX_YAML_BYTES // 2**20} MiB.",
            remedy="Convert it to JSON, which may be larger.",
        )
    try:
        return _Builder().build(yaml.parse(text, Loader=yaml.BaseLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" on line {mark.line + 1}" if mark else ""
        raise ConfigError(f"The document is no YAML: {error.problem or error.context}{where}.") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"The document is no YAML: {str(error).splitlines()[0][:200] if str(error) else 'unreadable'}."
        ) from error


class _Open:
    """A mapping or list that is not at its end yet.

    Attributes:
        size: values in it so far, itself included, with what aliases stand for.
    """

    __slots__ = ("anchor", "key", "made", "size")

    def __init__(self, made: dict[str, Any] | list[Any], anchor: str | None) -> None:
        self.made = made
        self.anchor = anchor
        self.key: str | None = None
        self.size = 1


class _Builder:
    """Events of a parser to one value, without recursion."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._total = 0
        self._value: Any = None
        self._documents = 0

    def build(self, events: Iterator[yaml.Event]) -> object:
        """The value of the one document.

        Raises:
            ConfigError: there are several, or a part is not taken.
            yaml.YAMLError: it is no YAML.
        """
        for event in events:
            self._take(event)
        return self._value

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise ConfigError("The file holds several documents of YAML.", remedy="Name a file with one.")
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()
        elif isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event), 1, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise ConfigError(
                    f"The document has an alias, *{str(event.anchor)[:60]}, of what is not there or holds it."
                )
            value, size = self._anchors[event.anchor]
            self._put(value, size, None)

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if event.tag and event.tag not in {f"{TAG}map", f"{TAG}seq", "!"}:
            raise ConfigError(f"The document has a tag of YAML, {event.tag[:60]!r}, and none is taken.")
        if len(self._open) >= MAX_DEPTH:
            raise ConfigError(f"The document is nested deeper than {MAX_DEPTH} levels.")
        if self._open and isinstance(self._open[-1].made, dict) and self._open[-1].key is None:
            raise ConfigError("The document has a key that is no plain text.")
        self._open.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
        self._count(1)

    def _end(self) -> None:
        closed = self._open.pop()
        if isinstance(closed.made, dict) and MERGE in closed.made:
            closed.made = _merged(closed.made)
        if self._open:
            self._open[-1].size += closed.size
        if closed.anchor:
            self._anchors[closed.anchor] = (closed.made, closed.size)
        self._place(closed.made)

    def _put(self, value: object, size: int, anchor: str | None) -> None:
        self._count(size)
        if self._open:
            self._open[-1].size += size
        if anchor:
            self._anchors[anchor] = (value, size)
        self._place(value)

    def _place(self, value: object) -> None:
        """Into what is open, as its next key, value or item."""
        if not self._open:
            self._value = value
            return
        around = self._open[-1]
        if isinstance(around.made, list):
            around.made.append(value)
        elif around.key is None:
            around.key = _key(value, around.made)
        else:
            around.made[around.key] = value
            around.key = None

    def _count(self, size: int) -> None:
        self._total += size
        if self._total > MAX_VALUES:
            raise too_many()

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text: str = event.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ConfigError("The document holds half a surrogate pair, which is no text.")
        if event.tag and event.tag not in {f"{TAG}str", "!"}:
            raise ConfigError(f"The document has a tag of YAML, {event.tag[:60]!r}, and none is taken.")
        is_key = bool(self._open) and isinstance(self._open[-1].made, dict) and self._open[-1].key is None
        if is_key or event.tag is not None or not event.implicit[0]:
            return text
        return _plain(text)


def _key(value: object, made: dict[str, Any]) -> str:
    if not isinstance(value, str):
        raise ConfigError("The document has a key that is no plain text.")
    if value in made:
        raise ConfigError(f"The document has the key {value[:60]!r} twice in one object.")
    return value


def _plain(text: str) -> object:
    """What an unquoted scalar means, by YAML's core schema."""
    if SCALARS[f"{TAG}null"].match(text):
        return None
    if SCALARS[f"{TAG}bool"].match(text):
        return text == "true"
    if SCALARS[f"{TAG}int"].match(text):
        return int(text, 16 if text.startswith("0x") else 10)
    if SCALARS[f"{TAG}float"].match(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _merged(mapping: dict[str, Any]) -> dict[str, Any]:
    """With what `<<` names below its own keys, as YAML 1.1 has it."""
    given = mapping.pop(MERGE)
    merged: dict[str, Any] = {}
    for part in reversed(given if isinstance(given, list) else [given]):
        if not isinstance(part, dict):
            raise ConfigError("The document merges (<<) what is no object.")
        merged |= part
    return merged | mapping
