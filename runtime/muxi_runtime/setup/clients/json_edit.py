"""One entry of one section of a JSON text: put in, replaced, taken out, with every other character left as it is.

Each function reads its own result again and compares it with what was wanted, so that a slip cannot spoil a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from muxi_runtime.setup.clients.errors import NotEditableError
from muxi_runtime.setup.clients.json_text import BYTE_ORDER_MARK, COMMENT, Member, Node, read

__all__ = ["found", "snippet", "with_entry", "without_entry"]

UNIT = "  "
"""Indentation, where the text shows none of its own."""

SAME_LINE = re.compile(r"(?:[ \t]*(?>/\*[^\r\n]*?\*/|//[^\r\n]*))+(?=[ \t]*[\r\n])")
"""Comments that belong to what stands before them on the line."""

Entry = Mapping[str, Any]


def found(text: str, section: str, name: str) -> Any | None:  # noqa: ANN401 - whatever stands there
    """The entry, or `None`.

    Raises:
        NotEditableError: the text is no JSON object, or its section none.
    """
    node = _section(text, section)
    member = node.member(name) if node else None
    return member.node.value if member else None


def snippet(section: str, name: str, entry: Entry) -> str:
    """A whole file with this entry alone."""
    return json.dumps({section: {name: entry}}, indent=len(UNIT), ensure_ascii=False) + "\n"


def with_entry(text: str, section: str, name: str, entry: Entry) -> str:
    """The text with the entry, in the place of one of that name, else behind the others.

    Raises:
        NotEditableError: as `found`.
    """
    if not text.removeprefix(BYTE_ORDER_MARK).strip():
        return text[: text.startswith(BYTE_ORDER_MARK)] + snippet(section, name, entry)
    part = _section(text, section)
    if part is None:
        result = _inserted(text, read(text), section, {name: entry})
    elif (there := part.member(name)) is not None and there.node.value == entry:
        return text
    elif there is not None:
        result = _replaced(text, part, there, entry)
    else:
        result = _inserted(text, part, name, entry)
    wanted = read(text).value
    return _checked(result, {**wanted, section: {**wanted.get(section, {}), name: dict(entry)}})


def without_entry(text: str, section: str, name: str) -> str:
    """The text without the entry. Its section stays, also when it was the only one.

    Raises:
        NotEditableError: as `found`.
    """
    part = _section(text, section)
    member = part.member(name) if part else None
    if part is None or member is None:
        return text
    result = _removed(text, part, member)
    wanted = read(text).value
    rest = {key: value for key, value in wanted[section].items() if key != name}
    return _checked(result, {**wanted, section: rest})


def _section(text: str, section: str) -> Node | None:
    if not text.removeprefix(BYTE_ORDER_MARK).strip():
        return None
    root = read(text)
    if not isinstance(root.value, dict):
        raise NotEditableError("it holds no JSON object")
    member = root.member(section)
    if member is not None and not isinstance(member.node.value, dict):
        raise NotEditableError(f"its {section!r} is no object")
    return member.node if member else None


def _inserted(text: str, part: Node, name: str, value: Entry) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    if not part.members:
        return _inserted_alone(text, part, name, value, newline)
    last = part.members[-1]
    indent = _indent(text, last.start)
    if indent is None:
        piece = f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        at = last.node.end if last.comma is None else last.comma + 1
        return text[:at] + ("," + piece if last.comma is None else piece + ",") + text[at:]
    piece = newline + indent + _member(name, value, indent, _unit(text, part, indent), newline)
    if last.comma is not None:
        at = _behind_comments(text, last.comma + 1)
        return f"{text[:at]}{piece},{text[at:]}"
    end = last.node.end
    at = _behind_comments(text, end)
    return f"{text[:end]},{text[end:at]}{piece}{text[at:]}"


def _inserted_alone(text: str, part: Node, name: str, value: Entry, newline: str) -> str:
    outer = _line_indent(text, part.start)
    unit = _unit(text, part, outer)
    indent = outer + unit
    piece = newline + indent + _member(name, value, indent, unit, newline) + newline + outer
    comment = _last_comment(text, part.start + 1, part.end - 1)
    return text[: comment.end() if comment else part.start + 1] + piece + text[part.end - 1 :]


def _replaced(text: str, part: Node, member: Member, entry: Entry) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = _indent(text, member.start)
    if indent is None:
        value = json.dumps(entry, ensure_ascii=False)
    else:
        value = _lines(entry, indent, _unit(text, part, indent), newline)
    return text[: member.node.start] + value + text[member.node.end :]


def _removed(text: str, part: Node, member: Member) -> str:
    others = [other for other in part.members if other is not member]
    before = max((other for other in others if other.start < member.start), key=lambda other: other.start, default=None)
    floor = part.start + 1 if before is None or before.comma is None else before.comma + 1
    comment = _last_comment(text, floor, member.start)
    start = comment.end() if comment else floor
    end = member.node.end
    rest_of_line = text[end:].split("\n", 1)[0].replace(",", "", 1 if member.comma is not None else 0)
    if comment and comment[0].startswith("//") and rest_of_line.strip():
        # What follows on our line must not become part of the comment before it.
        start += 2 if text.startswith("\r\n", start) else 1
    comma = member.comma if member.comma is not None else before.comma if before else None
    result = _cut(text, (start, end), (comma, comma + 1) if comma is not None else (end, end))
    part_end = part.end - (len(text) - len(result))
    if not others and not result[part.start + 1 : part_end - 1].strip():
        return _cut(result, (part.start + 1, part_end - 1))
    return result


def _cut(text: str, *spans: tuple[int, int]) -> str:
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text


def _checked(text: str, wanted: object) -> str:
    if read(text).value != wanted:
        raise NotEditableError("an edit in place would change more than this entry")
    return text


def _member(name: str, value: Entry, indent: str, unit: str, newline: str) -> str:
    return f"{json.dumps(name)}: {_lines(value, indent, unit, newline)}"


def _lines(value: Entry, indent: str, unit: str, newline: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", newline + indent)


def _indent(text: str, position: int) -> str | None:
    """The white space that a line begins with, if nothing else stands before the position."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line if not line.strip(" \t") and "\n" in text[:position] else None


def _line_indent(text: str, position: int) -> str:
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(" \t"))].replace(BYTE_ORDER_MARK, "")


def _unit(text: str, part: Node, inner: str) -> str:
    """One step of indentation: as between the object and its line, else as the whole text has it."""
    outer = _line_indent(text, part.start)
    if len(inner) > len(outer) and inner.startswith(outer):
        return inner[len(outer) :]
    shown = re.search(r"\{[ \t]*\r?\n([ \t]+)", text)
    return shown[1] if shown else UNIT


def _behind_comments(text: str, position: int) -> int:
    comments = SAME_LINE.match(text, position)
    return comments.end() if comments else position


def _last_comment(text: str, start: int, end: int) -> re.Match[str] | None:
    """Of a stretch of white space and comments."""
    comment = None
    for comment in COMMENT.finditer(text, start, end):  # noqa: B007 - the last one is what is wanted
        pass
    return comment
