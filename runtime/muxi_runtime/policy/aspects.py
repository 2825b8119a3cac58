"""What rules can tell of a call's arguments, so that one decision can stand for all calls that look the same. Pure.

A rule that reads `context.arguments.getTag("path").text like "*/secret/*"` tells calls apart by that match, and by
nothing else of their paths. Of each thing that rules read, this keeps either what comes of comparing it with what is
in the rule, or the value itself. Two calls that are equal in all of it, and in everything beside the arguments, are
decided the same. Where a rule looks at arguments in a way that is not known here, nothing is said, and every such
call is evaluated.

Above: `cedar`. The shapes are those of Cedar's JSON form of policies, the attributes those of `Argument` in the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from muxi_runtime.policy.rules import Rule

__all__ = ["Aspects", "aspects_of"]

MAX_VALUE = 256
"""Characters of a value that is kept itself; calls with a longer one are evaluated each time."""

Json: TypeAlias = Mapping[str, Any]
Tags: TypeAlias = Mapping[str, Any]
Seen: TypeAlias = tuple[Hashable, ...]

_ARGUMENTS = {".": {"left": {"Var": "context"}, "attr": "arguments"}}


class TooLongError(ValueError):
    """A value is too long to be kept."""


class Aspects:
    """What some rules can tell."""

    def __init__(self, uses: Iterable[_Use]) -> None:
        known = sorted(set(uses), key=repr)
        self._names = sorted({use.name for use in known})
        self._values = [(use.name, use.attribute) for use in known if use.attribute and use.compared is None]
        compared: dict[tuple[str, str], list[_Compared]] = {}
        for use in known:
            if use.compared is not None:
                compared.setdefault((use.name, use.attribute), []).append(use.compared)
        self._compared = [(name, attribute, _chooser(found)) for (name, attribute), found in compared.items()]

    def of(self, tags: Tags) -> Seen | None:
        """What they can tell of arguments, as `projection.argument_tags` gives them; `None`: too much to keep."""
        if not self._names:
            return ()
        try:
            return (
                *[_kind(tags.get(name)) for name in self._names],
                *[_value(tags.get(name), attribute) for name, attribute in self._values],
                *[choose(tags[name][attribute]) for name, attribute, choose in self._compared if name in tags],
            )
        except TooLongError:
            return None


def aspects_of(rules: Iterable[Rule]) -> Aspects | None:
    """Of these rules; `None` if one of them looks at arguments in an unknown way."""
    try:
        return Aspects([use for rule in rules for use in _uses(rule.body["conditions"], None)])
    except _UnknownUseError:
        return None


@dataclass(frozen=True, slots=True)
class _Compared:
    """A text of an argument against what stands in a rule.

    Attributes:
        pattern: the parts of a `like` between its wildcards; one part is a text that has to be equal.
    """

    pattern: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Use:
    """One look of a rule at an argument.

    Attributes:
        attribute: that is read; empty where it matters only whether it is there.
        compared: with what; `None`: the value itself counts.
    """

    name: str
    attribute: str = ""
    compared: _Compared | None = None


class _UnknownUseError(Exception):
    """Arguments are looked at in an unknown way."""


def _uses(node: object, parent: Json | None) -> Iterator[_Use]:
    """Every look at arguments in a part of a rule; `parent` reads or tests an attribute of this part, if one does."""
    if isinstance(node, list):
        for item in node:
            yield from _uses(item, None)
    if not isinstance(node, dict):
        return
    # Of a record with a field `attr` no name is known.
    attribute = parent["attr"] if parent and isinstance(parent["attr"], str) else None
    if node == {"Var": "context"} and attribute in {None, "arguments"}:
        raise _UnknownUseError
    found = _use(node)
    if found is not None:
        yield found
        return
    for key, item in node.items():
        yield from _uses(item, node if key == "left" and "attr" in node else None)


def _use(node: Json) -> _Use | None:
    """The look at an argument that this is as a whole, with what it is compared with."""
    if set(node) == {"hasTag"} and node["hasTag"]["left"] == _ARGUMENTS:
        return _Use(_name(node["hasTag"]))
    if set(node) == {"has"} and (name := _argument(node["has"]["left"])) is not None:
        return _Use(name)
    if set(node) == {"."} and (name := _argument(node["."]["left"])) is not None:
        return _Use(name, node["."]["attr"])
    return _comparison(node)


def _comparison(node: Json) -> _Use | None:
    """One of a text with what stands in the rule."""
    for operator in ("like", "==", "!="):
        if operator not in node:
            continue
        sides = node[operator]
        read = _text(sides["left"])
        if operator == "like":
            return _Use(*read, _Compared(_parts(sides["pattern"]))) if read else None
        literal = sides["right"].get("Value")
        return _Use(*read, _Compared((literal,))) if read and isinstance(literal, str) else None
    return None


def _text(node: Json) -> tuple[str, str] | None:
    """Which argument's `text` or `kind` this is, if it is one: those that are always there."""
    if set(node) != {"."} or node["."]["attr"] not in {"text", "kind"}:
        return None
    name = _argument(node["."]["left"])
    return None if name is None else (name, node["."]["attr"])


def _argument(node: Json) -> str | None:
    """Which argument this is, if it is one."""
    if set(node) != {"getTag"} or node["getTag"]["left"] != _ARGUMENTS:
        return None
    return _name(node["getTag"])


def _name(sides: Json) -> str:
    name = sides["right"].get("Value")
    if not isinstance(name, str):  # loading has refused such a rule
        raise _UnknownUseError
    return name


def _parts(pattern: Iterable[Any]) -> tuple[str, ...]:
    """The texts between the wildcards of a `like`."""
    parts = [""]
    for element in pattern:
        if element == "Wildcard":
            parts.append("")
        elif isinstance(element, dict) and isinstance(element.get("Literal"), str):
            parts[-1] += element["Literal"]
        else:
            raise _UnknownUseError
    return tuple(parts)


def _chooser(compared: Iterable[_Compared]) -> Callable[[str], Hashable]:
    """Tells which of some patterns a text fits, by their numbers. Most fit none: one search in C each tells."""
    known = [(number, max(one.pattern, key=len), one.pattern) for number, one in enumerate(compared)]

    def choose(text: str) -> Hashable:
        return tuple([number for number, longest, pattern in known if longest in text and _fits(pattern, text)])

    return choose


def _fits(pattern: tuple[str, ...], text: str) -> bool:
    """Cedar's `like`: anything may stand between the parts. Takes time in proportion to the text."""
    first, *middle = pattern
    if not middle:
        return text == first
    last = middle.pop()
    begin, end = len(first), len(text) - len(last)
    if begin > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in middle:
        found = text.find(part, begin, end)
        if found < 0:
            return False
        begin = found + len(part)
    return True


def _kind(tag: Json | None) -> Hashable:
    """Whether it is there, and which attributes it has."""
    return None if tag is None else (tag["kind"], "origin" in tag)


def _value(tag: Json | None, attribute: str) -> Hashable:
    """Of an argument. Raises TooLongError."""
    value = tag.get(attribute) if tag else None
    if isinstance(value, list):
        if sum(map(len, value)) > MAX_VALUE or len(value) > MAX_VALUE:
            raise TooLongError
        return frozenset(value)
    if isinstance(value, str) and len(value) > MAX_VALUE:
        raise TooLongError
    return value
