"""Where things stand in a JSON text, so that it can be edited in place.

JSON as RFC 8259 has it, and beside it what editors take in their settings: `//` and `/* */` comments, and a comma after
the last item. Positions are indexes into the text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from muxi_runtime.setup.clients.errors import NotEditableError

__all__ = ["BYTE_ORDER_MARK", "COMMENT", "Member", "Node", "read", "skip"]

MAX_DEPTH = 200
"""Nesting, in levels: a client's configuration has a handful."""

GAP = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)+", re.DOTALL)
COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Node:
    """One value.

    Attributes:
        end: just behind its last character.
        members: of an object; empty for anything else.
    """

    value: Any
    start: int
    end: int
    members: tuple[Member, ...] = ()

    def member(self, name: str) -> Member | None:
        """The one of that name.

        Raises:
            NotEditableError: several have it, and readers differ on which counts.
        """
        found = [member for member in self.members if member.name == name]
        if len(found) > 1:
            raise NotEditableError(f"it has {name!r} more than once")
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Member:
    """One name and value of an object.

    Attributes:
        start: of the name's opening quote.
        comma: where the comma behind it stands, `None` if there is none.
    """

    name: str
    start: int
    node: Node
    comma: int | None


def read(text: str) -> Node:
    """The whole text.

    Raises:
        NotEditableError: it is no JSON; the message says where, and repeats nothing of the text.
    """
    node, end = _value(text, skip(text, len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0), 0)
    if skip(text, end) != len(text):
        raise _wrong(text, skip(text, end))
    return node


def skip(text: str, position: int) -> int:
    """The first position from here on that is neither white space nor comment."""
    found = GAP.match(text, position)
    return found.end() if found else position


def _value(text: str, start: int, depth: int) -> tuple[Node, int]:
    if depth > MAX_DEPTH:
        raise NotEditableError(f"it is nested deeper than {MAX_DEPTH} levels")
    if text.startswith("{", start):
        return _object(text, start, depth)
    if text.startswith("[", start):
        return _array(text, start, depth)
    found = STRING.match(text, start) or SCALAR.match(text, start)
    if found is None:
        raise _wrong(text, start)
    return Node(_loaded(text, found), start, found.end()), found.end()


def _object(text: str, start: int, depth: int) -> tuple[Node, int]:
    members: list[Member] = []
    at = skip(text, start + 1)
    while not text.startswith("}", at):
        name = STRING.match(text, at)
        colon = skip(text, name.end()) if name else at
        if name is None or not text.startswith(":", colon):
            raise _wrong(text, colon)
        node, end = _value(text, skip(text, colon + 1), depth + 1)
        comma, at = _comma(text, skip(text, end), "}")
        members.append(Member(_loaded(text, name), name.start(), node, comma))
    return Node({member.name: member.node.value for member in members}, start, at + 1, tuple(members)), at + 1


def _array(text: str, start: int, depth: int) -> tuple[Node, int]:
    values: list[Any] = []
    at = skip(text, start + 1)
    while not text.startswith("]", at):
        node, end = _value(text, at, depth + 1)
        _, at = _comma(text, skip(text, end), "]")
        values.append(node.value)
    return Node(values, start, at + 1), at + 1


def _comma(text: str, at: int, closing: str) -> tuple[int | None, int]:
    """Where the comma stands, if one does, and where what follows begins."""
    if text.startswith(",", at):
        return at, skip(text, at + 1)
    if not text.startswith(closing, at):
        raise _wrong(text, at)
    return None, at


def _loaded(text: str, found: re.Match[str]) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(found[0])
    except ValueError as error:
        raise _wrong(text, found.start()) from error


def _wrong(text: str, position: int) -> NotEditableError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return NotEditableError(f"line {line}, column {column} is not as JSON has it")
