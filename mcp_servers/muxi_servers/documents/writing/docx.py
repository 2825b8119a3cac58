"""Word documents, by python-docx."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

from muxi_servers.documents.writing.docx_runs import add_runs, restart_numbering
from muxi_servers.documents.writing.draft import parse_markdown
from muxi_servers.documents.writing.pictures import load
from muxi_servers.documents.writing.words import picture_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from docx.document import Document as Book
    from docx.oxml.xmlchemy import BaseOxmlElement
    from markdown_it.tree import SyntaxTreeNode

    from muxi_servers.documents.writing.draft import Draft

__all__ = ["write_docx"]

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SIZES_MM = {"A4": (210, 297), "Letter": (215.9, 279.4)}
_MARGIN_MM = 25
_DOTS_PER_MM = 96 / 25.4
_DEEPEST = 3  # as many styles as Word has for lists in lists
_MAX_COLUMNS = 63  # Word takes no more


def write_docx(draft: Draft) -> bytes:
    """The document."""
    from docx import Document  # noqa: PLC0415 - heavy

    book = Document()
    _set_up(book, draft)
    writer = _Writer(book, draft)
    for node in parse_markdown(_NOT_IN_XML.sub("", draft.whole_markdown())).children:
        writer.add(node)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def _set_up(book: Book, draft: Draft) -> None:
    from docx.shared import Mm  # noqa: PLC0415 - heavy

    properties = book.core_properties
    properties.title, properties.author = (
        _NOT_IN_XML.sub("", draft.title)[:255],
        _NOT_IN_XML.sub("", draft.author)[:255],
    )
    properties.language = _NOT_IN_XML.sub("", draft.language)
    properties.comments = ""
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    section = book.sections[0]
    section.page_width, section.page_height = (Mm(side) for side in _SIZES_MM[draft.page_size])
    section.left_margin = section.right_margin = Mm(_MARGIN_MM)


class _Writer:
    def __init__(self, book: Book, draft: Draft) -> None:
        self._book = book
        self._draft = draft
        self._width_mm = _SIZES_MM[draft.page_size][0] - 2 * _MARGIN_MM

    def add(self, node: SyntaxTreeNode, *, style: str | None = None) -> None:
        """One block of the Markdown."""
        if node.type == "heading":
            add_runs(self._book.add_heading(level=int(node.tag[1])), node)
        elif node.type == "paragraph":
            self._paragraph(node, style)
        elif node.type in {"bullet_list", "ordered_list"}:
            self._list(node, 1)
        elif node.type in {"fence", "code_block"}:
            self._code(node.content)
        elif node.type == "table":
            self._table(node)
        elif node.type == "hr":
            self._book.add_paragraph("\u2500" * 30)
        else:  # a quotation, or what Markdown may come to have: what is in it
            for child in node.children:
                self.add(child, style="Quote" if node.type == "blockquote" else style)

    def _paragraph(self, node: SyntaxTreeNode, style: str | None) -> None:
        shown = picture_of(node)
        picture = load(self._draft, str(shown.attrs.get("src", ""))) if shown else None
        if picture is None:
            add_runs(self._book.add_paragraph(style=style), node)
            return
        from docx.shared import Mm  # noqa: PLC0415 - heavy

        width = min(picture.width / _DOTS_PER_MM, self._width_mm)
        added = self._book.add_picture(io.BytesIO(picture.data), width=Mm(width))
        added._inline.docPr.set("descr", shown.content if shown else "")  # noqa: SLF001 - there is no public name

    def _list(self, node: SyntaxTreeNode, depth: int) -> None:
        is_numbered = node.type == "ordered_list"
        name = "List Number" if is_numbered else "List Bullet"
        style = name if depth == 1 else f"{name} {min(depth, _DEEPEST)}"
        start = int(node.attrs.get("start", 1))
        numbering = restart_numbering(self._book, style, start) if is_numbered else None
        for item in node.children:
            for index, child in enumerate(item.children):
                if child.type in {"bullet_list", "ordered_list"}:
                    self._list(child, depth + 1)
                elif child.type == "paragraph" and index == 0:
                    paragraph = self._book.add_paragraph(style=style)
                    if numbering is not None:
                        paragraph._p.get_or_add_pPr().get_or_add_numPr().get_or_add_numId().val = numbering  # noqa: SLF001 - as above
                    add_runs(paragraph, child)
                else:
                    self.add(child, style=f"List Continue {min(depth, _DEEPEST)}" if depth > 1 else "List Continue")

    def _code(self, content: str) -> None:
        from docx.shared import Pt  # noqa: PLC0415 - heavy

        run = self._book.add_paragraph().add_run(content.rstrip("\n"))
        run.font.name, run.font.size = "Courier New", Pt(9)

    def _table(self, node: SyntaxTreeNode) -> None:
        rows = [row for part in node.children for row in part.children]
        width = max(len(row.children) for row in rows)
        if width > _MAX_COLUMNS:
            self._draft.note(
                f"Word has tables of {_MAX_COLUMNS} columns at most: {width - _MAX_COLUMNS} were left out."
            )
        table = self._book.add_table(rows=len(rows), cols=min(width, _MAX_COLUMNS), style="Table Grid")
        for line, row in zip(table.rows, rows, strict=True):
            cells = line.cells
            for cell, source in zip(cells, row.children, strict=False):
                add_runs(cell.paragraphs[0], source, bold=source.type == "th")
        table.rows[0]._tr.get_or_add_trPr().append(_repeated_header())  # noqa: SLF001 - as above
        self._book.add_paragraph()


def _repeated_header() -> BaseOxmlElement:
    from docx.oxml import OxmlElement  # noqa: PLC0415 - heavy

    return OxmlElement("w:tblHeader")
