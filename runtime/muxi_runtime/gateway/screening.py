"""Takes passages that give instructions to a model out of what a server sent, or marks them. Pure.

Above: `giving`, which knows what is untrusted, and keeps what was taken out. Below: `instructions`, which finds them.

All texts of a JSON value are looked at in the order in which they are read, so that an instruction that is parted
among them is found; names of entries too, where they are longer than names are. A text that is JSON itself is looked at
as such, and stays JSON. Binary content is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muxi_runtime.instructions.passages import Passage, find

__all__ = ["Screened", "screened"]

LONGEST_NAME = 40
LONGEST_JSON = 4 * 2**20
"""Characters of a text that is read as JSON; a longer one is looked at as it is."""
_BINARY = frozenset({"image", "audio"})
_KINDS = frozenset({"type", "role", "mimeType", "resultType"})
"""Entries that say what something is: a single word there is read by programs."""
_LINKS = frozenset({"uri", "url"})
NO_LINK = "muxi://withheld"

Stand = Callable[[str], str]
"""What stands in the place of a passage."""


@dataclass(frozen=True, slots=True)
class Screened:
    """What was found, and the value without it.

    Attributes:
        value: JSON values; `None` where nothing was found.
        passages: how many.
        characters: all together.
        rules: names of what was found.
        kept: the passages, for who may read them.
    """

    value: Any
    passages: int = 0
    characters: int = 0
    rules: frozenset[str] = frozenset()
    kept: str = ""


@dataclass(frozen=True, slots=True)
class _Json:
    """A text that is JSON."""

    text: str
    value: Any


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A text that is looked at, by its number."""

    number: int


NOTHING = Screened(None)


def screened(value: Any, stand: Stand) -> Screened:  # noqa: ANN401  # JSON in, JSON out
    """Look at a JSON value. Hidden characters are gone from it already."""
    texts: list[str] = []
    tree = _read(value, texts)
    passages = find(texts)
    if not passages:
        return NOTHING
    by_text: dict[int, list[Passage]] = {}
    for passage in passages:
        by_text.setdefault(passage.text, []).append(passage)
    written = {number: _without(texts[number], found, stand) for number, found in by_text.items()}
    parts = [texts[passage.text][passage.start : passage.end] for passage in passages]
    return Screened(
        _write(tree, texts, written),
        len(passages),
        sum(map(len, parts)),
        frozenset(rule for passage in passages for rule in passage.rules),
        "\n\n".join(parts),
    )


def _without(text: str, passages: Sequence[Passage], stand: Stand) -> str:
    """In their order, and none overlaps another."""
    parts: list[str] = []
    last = 0
    for passage in passages:
        parts += [text[last : passage.start], stand(text[passage.start : passage.end])]
        last = passage.end
    return "".join([*parts, text[last:]])


def _read(value: Any, texts: list[str]) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        inner = _as_json(value)
        if inner is not None:
            return _Json(value, _read(inner, texts))
        texts.append(value)
        return _Leaf(len(texts) - 1)
    if isinstance(value, list):
        return [_read(item, texts) for item in value]
    if not isinstance(value, Mapping):
        return value
    return [(_read_name(name, texts), _read_entry(name, item, value, texts)) for name, item in value.items()], value


def _read_name(name: str, texts: list[str]) -> Any:  # noqa: ANN401
    return _read(name, texts) if len(name) > LONGEST_NAME or " " in name else name


def _read_entry(name: str, item: Any, holder: Mapping[str, Any], texts: list[str]) -> Any:  # noqa: ANN401
    is_binary = (name == "data" and holder.get("type") in _BINARY) or (name == "blob" and "uri" in holder)
    is_kind = name in _KINDS and isinstance(item, str) and len(item) <= LONGEST_NAME and " " not in item
    return (item,) if is_binary or is_kind else _read(item, texts)


def _as_json(text: str) -> Any:  # noqa: ANN401
    """What a text holds that is a whole JSON object or list; `None` if it is none."""
    stripped = text.lstrip(" \t\r\n")
    if not stripped.startswith(("{", "[")) or len(text) > LONGEST_JSON:
        return None
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        return None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two entries of one name a reader may take either: such a text is looked at as it is."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an entry comes twice")
    return found


def _write(tree: Any, texts: Sequence[str], written: Mapping[int, str]) -> Any:  # noqa: ANN401
    if isinstance(tree, _Leaf):
        return written.get(tree.number, texts[tree.number])
    if isinstance(tree, _Json):
        touched = any(number in written for number in _leaves(tree.value))
        return json.dumps(_write(tree.value, texts, written), ensure_ascii=False) if touched else tree.text
    if isinstance(tree, list):
        return [_write(item, texts, written) for item in tree]
    if not isinstance(tree, tuple):
        return tree
    if len(tree) == 1:
        return tree[0]
    return dict(_write_entry(name, item, texts, written) for name, item in tree[0])


def _write_entry(name: Any, item: Any, texts: Sequence[str], written: Mapping[int, str]) -> tuple[str, Any]:  # noqa: ANN401
    new = str(_write(name, texts, written))
    if new in _LINKS and isinstance(item, _Leaf) and item.number in written:
        return new, NO_LINK  # what is no address would make all of it unreadable
    return new, _write(item, texts, written)


def _leaves(tree: Any) -> Iterator[int]:  # noqa: ANN401
    if isinstance(tree, _Leaf):
        yield tree.number
    elif isinstance(tree, _Json):
        yield from _leaves(tree.value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _leaves(item)
    elif isinstance(tree, tuple) and len(tree) > 1:
        for name, item in tree[0]:
            yield from _leaves(name)
            yield from _leaves(item)
