"""What is to be written, before it has a format."""

from __future__ import annotations

from muxi_servers.documents.formats.plain import blocks_of_markdown
from muxi_servers.documents.markdown import clean, render_block
from muxi_servers.documents.model import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

    from muxi_servers.documents.model import Cell, Row
    from muxi_servers.kit.workspace import Workspace

__all__ = ["Draft", "number_of", "parse_markdown"]

_MAX_DIGITS = 15  # a double holds no more


class Draft:
    """Markdown and tables, and what is said of the whole.

    Attributes:
        workspace: where pictures come from.
        notes: filled while it is written: what could not be written as it was asked for.
    """

    def __init__(self, markdown: str, tables: list[Table], workspace: Workspace) -> None:
        self.markdown = markdown
        self.tables = tables
        self.workspace = workspace
        self.title = ""
        self.author = ""
        self.language = ""
        self.page_size = "A4"
        self.notes: list[str] = []

    def note(self, words: str) -> None:
        """Say it once."""
        if words not in self.notes:
            self.notes.append(words)

    def whole_markdown(self) -> str:
        """The tables below the Markdown, each below its name."""
        pieces = [self.markdown] if self.markdown.strip() else []
        for table in self.tables:
            if table.name:
                pieces.append(f"## {clean(table.name)}")
            pieces.append(render_block(table))
        return "\n\n".join(pieces)

    def all_tables(self) -> list[Table]:
        """Those given as rows, and those in the Markdown, named by the heading above; their numbers are numbers."""
        found: list[Table] = []
        heading = ""
        for block in blocks_of_markdown(self.markdown):
            if block.kind == "heading":
                heading = block.text
            elif isinstance(block, Table):
                rows: list[Row] = [[number_of(value) for value in row] for row in block.rows]
                found.append(Table(rows, heading))
        return [*found, *self.tables]


def number_of(value: Cell) -> Cell:
    """The number that a text writes plainly; else the text: `007` and `1,5` stay as they are."""
    if not isinstance(value, str):
        return value
    digits = value.removeprefix("-")
    whole, _, part = digits.partition(".")
    is_plain = whole.isdigit() and whole.isascii() and (whole == "0" or not whole.startswith("0"))
    if not is_plain or len(digits) > _MAX_DIGITS:
        return value
    if "." not in digits:
        return int(value)
    return float(value) if part.isdigit() and part.isascii() else value


def parse_markdown(text: str) -> SyntaxTreeNode:
    """The tree of a Markdown text: CommonMark with tables and struck-out words, HTML in it being text."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - heavy
    from markdown_it.tree import SyntaxTreeNode  # noqa: PLC0415 - heavy

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return SyntaxTreeNode(parser.parse(text))
