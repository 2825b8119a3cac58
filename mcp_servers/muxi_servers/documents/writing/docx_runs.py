"""Words in Word: runs, links, and lists that begin anew."""

from __future__ import annotations

from muxi_servers.documents.writing.words import runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph
    from docx.text.run import Run as WordRun
    from markdown_it.tree import SyntaxTreeNode

    from muxi_servers.documents.writing.words import Run

__all__ = ["add_runs", "restart_numbering"]

_LINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"


def add_runs(paragraph: Paragraph, node: SyntaxTreeNode, *, bold: bool = False) -> None:
    """The words below a node, with their marks."""
    for piece in runs(node):
        run = paragraph.add_run("" if piece.text == "\n" else piece.text)
        if piece.text == "\n":
            run.add_break()
        _mark(run, piece, bold=bold)
        if piece.link:
            _make_link(paragraph, run, piece.link)


def restart_numbering(book: Document, style: str, start: int) -> int | None:
    """A numbering for one list, so that it does not go on counting where the last one ended; its id."""
    properties = book.styles[style].element.pPr
    if properties is None or properties.numPr is None or properties.numPr.numId is None:
        return None
    numbering = book.part.numbering_part.numbering_definitions._numbering  # noqa: SLF001 - there is no public name
    kind = numbering.num_having_numId(properties.numPr.numId.val).abstractNumId.val
    made = numbering.add_num(kind)
    made.add_lvlOverride(ilvl=0).add_startOverride(start)
    number: int = made.numId
    return number


def _mark(run: WordRun, piece: Run, *, bold: bool) -> None:
    run.bold = piece.bold or bold or None
    run.italic = piece.italic or None
    run.font.strike = piece.struck or None
    if piece.code:
        run.font.name = "Courier New"


def _make_link(paragraph: Paragraph, run: WordRun, target: str) -> None:
    from docx.oxml import OxmlElement  # noqa: PLC0415 - heavy
    from docx.oxml.ns import qn  # noqa: PLC0415 - heavy
    from docx.shared import RGBColor  # noqa: PLC0415 - heavy

    link = OxmlElement("w:hyperlink")
    link.set(qn("r:id"), paragraph.part.relate_to(target, _LINK, is_external=True))
    run.font.underline, run.font.color.rgb = True, RGBColor(0x05, 0x63, 0xC1)
    paragraph._p.append(link)  # noqa: SLF001 - there is no public name
    link.append(run._r)  # noqa: SLF001 - as above
