"""PDF, by reportlab: every word is escaped before its markup sees it, and nothing is fetched."""

from __future__ import annotations

import io
from xml.sax.saxutils import quoteattr  # nosec B406 # writes only

from muxi_servers.documents.writing.draft import parse_markdown
from muxi_servers.documents.writing.pdf_fonts import Letters
from muxi_servers.documents.writing.pdf_pages import build, styles, table_style, widths_of
from muxi_servers.documents.writing.pictures import load
from muxi_servers.documents.writing.words import picture_of, runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode
    from reportlab.platypus import Flowable

    from muxi_servers.documents.writing.draft import Draft

__all__ = ["write_pdf"]

_BULLET = {"bulletFontName": "Body", "bulletFontSize": 10.5}
_SIMPLE = frozenset(("heading", "hr", "fence", "code_block"))
_POINTS = 0.75  # of a pixel
_MAX_PICTURE_HEIGHT = 600
_CODE_COLUMNS = 88
_MANY_COLUMNS = 8
_MAX_COLUMNS = 40


def write_pdf(draft: Draft) -> bytes:
    """The document, with its headings as bookmarks and a number on each page."""
    held = io.BytesIO()
    writer = _Writer(draft)
    flow = [part for node in parse_markdown(draft.whole_markdown()).children for part in writer.parts(node)]
    build(held, flow, draft)
    return held.getvalue()


class _Writer:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._letters = Letters(draft)
        self._styles = styles()

    def parts(self, node: SyntaxTreeNode) -> list[Flowable]:
        """What reportlab flows onto pages for one block of the Markdown."""
        if node.type in _SIMPLE:
            return [self._simple(node)]
        if node.type == "paragraph":
            return self._paragraph(node)
        if node.type in {"bullet_list", "ordered_list"}:
            return self._list(node)
        if node.type == "table":
            return self._tables(node)
        inside = [part for child in node.children for part in self.parts(child)]
        return [_indent(18), *inside, _indent(-18)] if node.type == "blockquote" else inside

    def _simple(self, node: SyntaxTreeNode) -> Flowable:
        from reportlab.platypus import HRFlowable, Paragraph, Preformatted  # noqa: PLC0415 - heavy

        if node.type == "heading":
            return Paragraph(self._markup(node), self._styles[f"Heading{node.tag[1]}"])
        if node.type == "hr":
            return HRFlowable(width="100%", spaceBefore=6, spaceAfter=6)
        lines = node.content.rstrip("\n").expandtabs(4)
        return Preformatted(lines, self._styles["Code"], maxLineLength=_CODE_COLUMNS, newLineChars="")

    def _paragraph(self, node: SyntaxTreeNode) -> list[Flowable]:
        from reportlab.platypus import Image, Paragraph  # noqa: PLC0415 - heavy

        shown = picture_of(node)
        picture = load(self._draft, str(shown.attrs.get("src", ""))) if shown else None
        if picture is None:
            return [Paragraph(self._markup(node), self._styles["BodyText"])]
        width, height = picture.width * _POINTS, picture.height * _POINTS
        scale = min(1.0, widths_of(self._draft) / width, _MAX_PICTURE_HEIGHT / height)
        return [Image(io.BytesIO(picture.data), width * scale, height * scale)]

    def _list(self, node: SyntaxTreeNode) -> list[Flowable]:
        from reportlab.platypus import ListFlowable, ListItem, Spacer  # noqa: PLC0415 - heavy

        items = [ListItem([part for child in item.children for part in self.parts(child)]) for item in node.children]
        if node.type == "ordered_list":
            start = int(node.attrs.get("start", 1))
            return [ListFlowable(items, bulletType="1", start=start, bulletFormat="%s.", **_BULLET), Spacer(1, 4)]
        return [ListFlowable(items, bulletType="bullet", start="\u2022", **_BULLET), Spacer(1, 4)]

    def _tables(self, node: SyntaxTreeNode) -> list[Flowable]:
        from reportlab.platypus import LongTable, Paragraph, Spacer  # noqa: PLC0415 - heavy

        rows = [row.children for part in node.children for row in part.children]
        width = min(max(len(row) for row in rows), _MAX_COLUMNS)
        if width < max(len(row) for row in rows):
            self._draft.note(f"Tables of a page have {_MAX_COLUMNS} columns at most: the others were left out.")
        style = self._styles["Small" if width > _MANY_COLUMNS else "Cell"]
        lines: list[list[Flowable | str]] = []
        longest = [1] * width
        for row in rows:
            cells = [self._markup(cell, bold=cell.type == "th") for cell in row[:width]]
            longest = [
                max(most, min(len(cell), 60)) for most, cell in zip(longest, [*cells, *[""] * width], strict=False)
            ]
            lines.append([Paragraph(cell, style) for cell in cells] + [""] * (width - len(cells)))
        room = widths_of(self._draft)
        least = room / width / 3
        spare = room - least * width
        columns = [least + spare * most / sum(longest) for most in longest]
        table = LongTable(lines, colWidths=columns, repeatRows=1, splitInRow=1, style=table_style())
        return [table, Spacer(1, 8)]

    def _markup(self, node: SyntaxTreeNode, *, bold: bool = False) -> str:
        words = []
        for piece in runs(node):
            if piece.text == "\n":
                words.append("<br/>")
                continue
            text = self._letters.markup(piece.text)
            if piece.code:
                text = f'<font name="Code">{text}</font>'
            for tag, on in (("b", piece.bold or bold), ("i", piece.italic), ("strike", piece.struck)):
                text = f"<{tag}>{text}</{tag}>" if on else text
            words.append(f'<a href={quoteattr(piece.link)} color="#0563c1">{text}</a>' if piece.link else text)
        return "".join(words)


def _indent(points: int) -> Flowable:
    from reportlab.platypus import Indenter  # noqa: PLC0415 - heavy

    return Indenter(left=points)
