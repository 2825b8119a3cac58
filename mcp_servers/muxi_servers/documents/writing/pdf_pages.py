"""Pages of a PDF: their size, styles, numbers and bookmarks."""

from __future__ import annotations

from muxi_servers.documents.formats.pdf_scale import CREATOR, HEADING_POINTS
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import Flowable, TableStyle
    from reportlab.platypus.doctemplate import BaseDocTemplate

    from muxi_servers.documents.writing.draft import Draft

__all__ = ["build", "styles", "table_style", "widths_of"]

_MARGIN = 64
_SIZES = {"A4": (595.28, 841.89), "Letter": (612.0, 792.0)}
_HEADINGS = {f"Heading{level}": points for level, points in enumerate(HEADING_POINTS, 1)}


def widths_of(draft: Draft) -> float:
    """How wide the text is, in points."""
    return _SIZES[draft.page_size][0] - 2 * _MARGIN - 12  # a frame has a padding of 6 on each side


def styles() -> dict[str, ParagraphStyle]:
    """By name: BodyText, Cell, Small, Code, Heading1 to Heading6."""
    from reportlab.lib.styles import ParagraphStyle  # noqa: PLC0415 - heavy

    body = ParagraphStyle("BodyText", fontName="Body", fontSize=10.5, leading=14.5, spaceAfter=7)
    made = {
        "BodyText": body,
        "Cell": ParagraphStyle("Cell", parent=body, fontSize=9, leading=11.5, spaceAfter=0),
        "Small": ParagraphStyle("Small", parent=body, fontSize=6, leading=7.5, spaceAfter=0, splitLongWords=1),
        "Code": ParagraphStyle("Code", fontName="Code", fontSize=8, leading=10, leftIndent=6, spaceAfter=7),
    }
    for name, size in _HEADINGS.items():
        made[name] = ParagraphStyle(
            name,
            fontName="Body-Bold",
            fontSize=size,
            leading=size * 1.25,
            spaceBefore=size * 0.7,
            spaceAfter=5,
            keepWithNext=1,
        )
    return made


def table_style() -> TableStyle:
    """Thin lines, a shaded header."""
    from reportlab.lib.colors import HexColor  # noqa: PLC0415 - heavy
    from reportlab.platypus import TableStyle  # noqa: PLC0415 - heavy

    return TableStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.5, HexColor("#999999")),
            ("BACKGROUND", (0, 0), (-1, 0), HexColor("#eeeeee")),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )


def build(file: BinaryIO, flow: list[Flowable], draft: Draft) -> None:
    """Lay everything out.

    Raises:
        ToolError: something does not fit on a page.
    """
    from reportlab.platypus import SimpleDocTemplate  # noqa: PLC0415 - heavy
    from reportlab.platypus.doctemplate import LayoutError  # noqa: PLC0415 - heavy

    class Pages(SimpleDocTemplate):  # type: ignore[misc]  # reportlab has no types
        """Pages with numbers, and bookmarks for headings."""

        deepest = -1

        def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 - reportlab calls it
            """Bookmark a heading."""
            name = getattr(getattr(flowable, "style", None), "name", "")
            if name in _HEADINGS:
                level = min(int(name[-1]) - 1, self.deepest + 1)
                self.deepest = level
                key = f"h{self.canv.getPageNumber()}-{id(flowable)}"
                self.canv.bookmarkPage(key)
                self.canv.addOutlineEntry(flowable.getPlainText(), key, level)

    def number(canvas: Canvas, _: BaseDocTemplate) -> None:
        canvas.setFont("Body", 8)
        canvas.drawCentredString(_SIZES[draft.page_size][0] / 2, _MARGIN / 2, str(canvas.getPageNumber()))

    pages = Pages(
        file,
        pagesize=_SIZES[draft.page_size],
        title=draft.title,
        author=draft.author,
        lang=draft.language or None,
        creator=CREATOR,
        **dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN),
    )
    try:
        pages.build(flow, onFirstPage=number, onLaterPages=number)
    except LayoutError as error:
        raise ToolError(
            f"Something does not fit on a page ({' '.join(str(error).split())[:200]}). Write DOCX instead."
        ) from None
