"""Text and Markdown files: their own words, cut into blocks so that headings and tables can be found."""

from __future__ import annotations

import re

from muxi_servers.documents.formats.characters import to_text
from muxi_servers.documents.markdown import plain
from muxi_servers.documents.model import Block, Document, Part, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from muxi_servers.documents.model import Row

__all__ = ["blocks_of_markdown", "open_plain"]

_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)[ \t]*#*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULER = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CELLS = re.compile(r"(?<!\\)\|")


def open_plain(file: BinaryIO, form: str, mime_type: str) -> Document:
    """The document: one part."""
    text, encoding = to_text(file.read())

    def read(_: int) -> Part:
        if form == "markdown":
            return Part(1, blocks_of_markdown(text))
        paragraphs = re.split(r"\n[ \t]*\n", plain(text.replace("\r\n", "\n")))
        return Part(1, [Block("raw", paragraph.strip("\n")) for paragraph in paragraphs if paragraph.strip()])

    document = Document(form, mime_type, "document", 1, read)
    document.details["encoding"] = encoding
    return document


def blocks_of_markdown(text: str) -> list[Block]:
    """Headings, tables and fenced code are found; all else is text, paragraph by paragraph."""
    return _Scan(plain(text.replace("\r\n", "\n")).split("\n")).run()


class _Scan:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._blocks: list[Block] = []
        self._pending: list[str] = []
        self._at = 0

    def run(self) -> list[Block]:
        while self._at < len(self._lines):
            self._step(self._lines[self._at])
        self._flush()
        return self._blocks

    def _step(self, line: str) -> None:
        fence = _FENCE.match(line)
        heading = _HEADING.match(line)
        following = self._lines[self._at + 1] if self._at + 1 < len(self._lines) else ""
        if fence:
            self._take_code(fence.group(1))
        elif heading:
            self._flush()
            self._blocks.append(Block("heading", heading.group(2), len(heading.group(1))))
            self._at += 1
        elif "|" in line and "|" in following and _RULER.match(following.strip()):
            self._take_table()
        else:
            self._at += 1
            if line.strip():
                self._pending.append(line)
            else:
                self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._blocks.append(Block("raw", "\n".join(self._pending)))
            self._pending = []

    def _take_code(self, fence: str) -> None:
        self._flush()
        begin = self._at
        end = begin + 1
        while end < len(self._lines) and not self._lines[end].strip().startswith(fence):
            end += 1
        self._blocks.append(Block("raw", "\n".join(self._lines[begin : end + 1])))
        self._at = end + 1

    def _take_table(self) -> None:
        self._flush()
        rows = [_cells(self._lines[self._at])]
        self._at += 2
        while self._at < len(self._lines) and "|" in self._lines[self._at]:
            rows.append(_cells(self._lines[self._at]))
            self._at += 1
        self._blocks.append(Table(rows))


def _cells(line: str) -> Row:
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [cell.strip().replace("\\|", "|").replace("<br>", "\n") for cell in _CELLS.split(inner)]
