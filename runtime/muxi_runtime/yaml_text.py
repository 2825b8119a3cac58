"""YAML text to plain values, with their lines. Below it PyYAML's composer, above it `yaml_model`.

Stricter than YAML on purpose, so that a file means what it looks like: `true`, `false`, `null` and numbers
are what they are, anything else unquoted is text (`no`, `1:30` and dates too); no tags, no anchors, no merge
keys, no duplicate keys, one document. Size and depth are bounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

__all__ = ["MAX_DEPTH", "MAX_TEXT", "Document", "Loc", "Problem", "parse"]

MAX_TEXT = 2**18
"""Characters in one file."""
MAX_DEPTH = 24

Loc = tuple[str | int, ...]
"""A place in a document: keys and indexes from the top."""

TAG = "tag:yaml.org,2002:"
INTERPOLATION = re.compile(r"\$(\$?)\{([^}]*)(\}?)")
VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{).)*))?", re.DOTALL)
SCALARS = {
    f"{TAG}null": re.compile(r"^(?:~|null|)$"),
    f"{TAG}bool": re.compile(r"^(?:true|false)$"),
    f"{TAG}int": re.compile(r"^(?:[-+]?[0-9]{1,30}|0x[0-9a-fA-F]{1,24})$"),
    f"{TAG}float": re.compile(r"^[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,4})?$"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where (line from 1), at which place, and what."""

    line: int
    loc: Loc
    message: str


@dataclass(slots=True)
class Document:
    """A parsed file.

    Attributes:
        value: plain values: dicts with text keys, lists, text, numbers, booleans, `None`.
        lines: the line of each place; of a mapping's entry, its key's line.
        problems: what is wrong with the text; `value` is only fit for use when empty.
    """

    value: object = None
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, loc: Loc) -> int:
        """The line of the place, or of the nearest one around it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


class _Resolver(BaseResolver):
    """Only the four kinds of `SCALARS` are anything but text."""


for _tag, _pattern in SCALARS.items():
    _Resolver.add_implicit_resolver(_tag, _pattern, None)


class _Composer(Reader, Scanner, Parser, Composer, _Resolver):
    """PyYAML's own parts without its constructor (values are made here), and with a bound on depth."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs have no types for it
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not taken: write it out", problem_mark=event.start_mark
            )
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def parse(text: str, environ: Mapping[str, str] | None) -> Document:
    """Parse one document; never raises, whatever the text.

    Args:
        text: the file's content.
        environ: for `${NAME}` and `${NAME:-default}` in text values, where `$${` is a plain `${`; `None`
            leaves text alone.
    """
    document = Document()
    if len(text) > MAX_TEXT:
        document.problems.append(Problem(1, (), f"longer than {MAX_TEXT} characters"))
        return document
    try:
        node = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        document.problems.append(Problem(mark.line + 1 if mark else 1, (), message))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append(Problem(line, (), f"a character that YAML does not take: {chr(error.character)!a}"))
    except (ValueError, OverflowError) as error:
        # PyYAML lets these out for escapes beyond Unicode ("\UFFFFFFFF") and oversized version numbers.
        document.problems.append(Problem(1, (), f"not YAML: {error}"))
    else:
        if node is not None:
            document.value = _Builder(document, environ).build(node, ())
    return document


class _Builder:
    """Nodes to values."""

    def __init__(self, document: Document, environ: Mapping[str, str] | None) -> None:
        self._document = document
        self._environ = environ

    def build(self, node: yaml.Node, loc: Loc) -> object:
        self._document.lines.setdefault(loc, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
            return {key: self.build(value, (*loc, key)) for key, value in self._entries(node, loc)}
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
            return [self.build(item, (*loc, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        return self._wrong(node, loc, f"the tag {node.tag!r} is not taken")

    def _entries(self, node: yaml.MappingNode, loc: Loc) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or not _is_plain_text(key.value):
                self._wrong(key, loc, "a key must be plain text")
            elif key.value in seen:
                self._wrong(key, (*loc, key.value), f"given twice, first on line {seen[key.value]}")
            else:
                seen[key.value] = line
                self._document.lines[*loc, key.value] = line
                yield key.value, value

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> object:
        text: str = node.value
        if node.tag == f"{TAG}str":
            text = text if self._environ is None else self._interpolated(node, loc)
            return text if _is_plain_text(text) else self._wrong(node, loc, "holds a NUL or half a character")
        if node.tag not in SCALARS or not SCALARS[node.tag].match(text):
            return self._wrong(node, loc, f"the tag {node.tag!r} is not taken")
        if node.tag == f"{TAG}null":
            return None
        if node.tag == f"{TAG}bool":
            return text == "true"
        if node.tag == f"{TAG}int":
            return int(text, 16 if text.startswith("0x") else 10)
        number = float(text)
        return number if math.isfinite(number) else self._wrong(node, loc, "too large a number")

    def _interpolated(self, node: yaml.ScalarNode, loc: Loc) -> str:
        environ = self._environ or {}

        def value(found: re.Match[str]) -> str:
            escaped, inner, closed = found.groups()
            if escaped:
                return found.group()[1:]
            parts = VARIABLE.fullmatch(inner)
            if not closed or parts is None:
                message = "`${` must be followed by NAME} or NAME:-default}; write `$${` for a plain `${`"
                return self._wrong(node, loc, message)
            name, default = parts.groups()
            if environ.get(name) or (name in environ and default is None):
                return environ[name]
            if default is None:
                message = f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                return self._wrong(node, loc, message)
            return default

        return INTERPOLATION.sub(value, node.value)

    def _wrong(self, node: yaml.Node, loc: Loc, message: str) -> str:
        """Note the problem; gives what stands in for the value."""
        self._document.problems.append(Problem(node.start_mark.line + 1, loc, message))
        return ""


def _is_plain_text(text: str) -> bool:
    """Whether it can be written as UTF-8 and passed to the system: no surrogate, no NUL."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
