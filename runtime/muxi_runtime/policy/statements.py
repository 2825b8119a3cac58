"""Cuts Cedar text into its policies, each with its line: Cedar's own messages name neither file nor line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Statement", "statements"]

# In the order in which they are tried: text in quotes and comments hide the semicolons that they hold.
_TOKEN = re.compile(
    r"""(?P<hidden> "(?:[^"\\]|\\.)*" | //[^\n]* ) | (?P<end> ; ) | (?P<space> \s+ ) | (?P<other> [^\s;"/]+ | . )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One policy's text, its semicolon included, and the line (from 1) of its first character."""

    text: str
    line: int


def statements(text: str) -> Iterator[Statement]:
    """The policies of a file in their order; what follows the last semicolon counts as one if it is not empty.

    Only cuts; whether a statement is Cedar is for the parser to say.
    """
    begin: int | None = None
    for token in _TOKEN.finditer(text):
        is_comment = token["hidden"] is not None and token[0].startswith("//")
        if begin is None and (token["space"] or is_comment):
            continue
        begin = token.start() if begin is None else begin
        if token["end"]:
            yield _statement(text, begin, token.end())
            begin = None
    if begin is not None:
        yield _statement(text, begin, len(text))


def _statement(text: str, begin: int, end: int) -> Statement:
    return Statement(text[begin:end].rstrip(), text.count("\n", 0, begin) + 1)
