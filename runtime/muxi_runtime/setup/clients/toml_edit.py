"""One table of a TOML text: appended, replaced, taken out, with every other character left as it is.

As `json_edit`, for `[SECTION.NAME]` tables. Only headers are looked for; what stands between them is stepped over. A
text that defines the entry otherwise (`SECTION = {...}`, dotted keys) is not edited.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from muxi_runtime.setup.clients.errors import NotEditableError

__all__ = ["found", "snippet", "with_entry", "without_entry"]

BARE = re.compile(r"[A-Za-z0-9_-]+")
BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
HEADER = re.compile(r"\[\[?[^\n]*")
PIECE = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|[\[{]|[\]}]|\n|[^\"'\#\[\]{}\n]+",
    re.DOTALL,
)
"""What a `key = value` statement consists of, as far as finding its end needs it."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Table:
    """One header with its statements; `end` is behind the last of them and its line's end."""

    path: tuple[str, ...]
    start: int
    end: int


def found(text: str, section: str, name: str) -> Any | None:  # noqa: ANN401 - whatever stands there
    """The entry, or `None`.

    Raises:
        NotEditableError: the text is no TOML, or its section no table.
    """
    part = _loaded(text).get(section, {})
    if not isinstance(part, dict):
        raise NotEditableError(f"its {section!r} is no table")
    return part.get(name)


def snippet(section: str, name: str, entry: Entry) -> str:
    """A whole file with this entry alone. Values are strings, lists of strings, and flat objects of strings."""
    lines = [f"[{_key(section)}.{_key(name)}]"]
    lines += [f"{_key(key)} = {_value(value)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"


def with_entry(text: str, section: str, name: str, entry: Entry) -> str:
    """The text with the entry, in the place of one of that name, else at the end.

    Raises:
        NotEditableError: as `found`, or the entry is there and not as a table of its own.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    block = snippet(section, name, entry).replace("\n", newline)
    there = found(text, section, name)
    if there == entry:
        return text
    if there is not None:
        start, end = _span(text, section, name)
        kept = block if text[:end].endswith("\n") else block.removesuffix(newline)
        result = text[:start] + kept + text[end:]
    elif not text:
        result = block
    elif text.endswith("\n"):
        result = text + newline + block
    else:
        # Without a line's end at its end, so that `without_entry` knows that the text had none.
        result = text + newline * 2 + block.removesuffix(newline)
    data = _loaded(text)
    return _checked(result, {**data, section: {**data.get(section, {}), name: dict(entry)}})


def without_entry(text: str, section: str, name: str) -> str:
    """The text without the entry, and without the blank line before it.

    Raises:
        NotEditableError: as `with_entry`.
    """
    if found(text, section, name) is None:
        return text
    start, end = _span(text, section, name)
    newline = "\r\n" if "\r\n" in text else "\n"
    head = text[:start]
    if head.endswith("\n" + newline):
        head = head.removesuffix(newline)
    if end == len(text) and not text.endswith("\n"):
        head = head.removesuffix(newline)
    data = _loaded(text)
    rest = {key: value for key, value in data[section].items() if key != name}
    result = head + text[end:]
    # A table is not there without its last entry, unless its own header is.
    others = {key: value for key, value in data.items() if key != section}
    return _checked(result, {**others, section: rest}, others if not rest else None)


def _span(text: str, section: str, name: str) -> tuple[int, int]:
    """From the entry's header to the end of its last statement, its inner tables included."""
    tables = list(_tables(text))
    ours = [place for place, table in enumerate(tables) if table.path[:2] == (section, name)]
    if not ours or tables[ours[0]].path != (section, name):
        raise NotEditableError(f"its {section}.{name} is not a table of its own")
    if ours[-1] - ours[0] != len(ours) - 1:
        raise NotEditableError(f"other tables stand between those of {section}.{name}")
    return tables[ours[0]].start, tables[ours[-1]].end


def _tables(text: str) -> Iterator[_Table]:
    at = _skip(text, 0)
    path: tuple[str, ...] = ()
    start = end = 0
    while at < len(text):
        if header := HEADER.match(text, at):
            if path:
                yield _Table(path, start, end)
            path, start = _path(header[0].rstrip("\r")), at
            end = min(header.end() + 1, len(text))
        else:
            end = _statement_end(text, at)
        at = _skip(text, end)
    if path:
        yield _Table(path, start, end)


def _path(header: str) -> tuple[str, ...]:
    """The names in a header, by the one reader that knows all their forms."""
    inner: Any = tomllib.loads(header)
    names: list[str] = []
    while inner:
        inner = inner[0] if isinstance(inner, list) else inner
        if inner:
            name, inner = next(iter(inner.items()))
            names.append(name)
    return tuple(names)


def _statement_end(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        piece = PIECE.match(text, at)
        if piece is None:
            raise NotEditableError("it cannot be followed")
        at = piece.end()
        depth += (piece[0] in "[{") - (piece[0] in "]}")
        if piece[0] == "\n" and depth == 0:
            return at
    return at


def _skip(text: str, position: int) -> int:
    blank = BLANK.match(text, position)
    return blank.end() if blank else position


def _loaded(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at .*\)$", str(error))
        raise NotEditableError(f"it is no TOML {where[0] if where else ''}".rstrip()) from error
    except RecursionError as error:
        raise NotEditableError("it is nested too deep") from error


def _checked(text: str, *wanted: object) -> str:
    if _loaded(text) not in wanted:
        raise NotEditableError("an edit in place would change more than this entry")
    return text


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _string(name)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _string(str(value))


def _string(text: str) -> str:
    # A JSON string is a TOML basic string, but for the one control character that JSON leaves bare.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
