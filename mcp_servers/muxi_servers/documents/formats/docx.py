"""Word documents, read from their XML: headings, lists, tables, links, footnotes; deleted text is left out."""

from __future__ import annotations

from muxi_servers.documents.formats.docx_styles import Numbering, Styles
from muxi_servers.documents.formats.docx_text import Inline
from muxi_servers.documents.formats.office import attribute, relations_of, take_properties
from muxi_servers.documents.markdown import clean
from muxi_servers.documents.model import Block, Document, Part, Table
from muxi_servers.documents.xml import local_name, parse_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from muxi_servers.documents.model import Row
    from muxi_servers.documents.package import Package

__all__ = ["open_docx"]

_MAIN = "word/document.xml"
_MAX_SPAN = 64


def open_docx(package: Package, mime_type: str) -> Document:
    """The document: one part, since where its pages end is only known to whoever prints it."""

    def read(_: int) -> Part:
        return Part(1, _Body(package).blocks())

    document = Document("docx", mime_type, "document", 1, read)
    take_properties(document, package)
    if "word/comments.xml" in package:
        document.notes.append("It has comments, which are left out.")
    return document


class _Body:
    def __init__(self, package: Package) -> None:
        self._package = package
        self._styles = Styles(package)
        self._numbering = Numbering(package)
        self._inline = Inline(relations_of(package, _MAIN))

    def blocks(self) -> list[Block]:
        root = parse_entry(self._package, _MAIN)
        found = [block for element in root for block in self._content(element)]
        return [*found, *self._notes("footnote"), *self._notes("endnote")]

    def _content(self, parent: _Element) -> Iterator[Block]:
        for element in parent:
            name = local_name(element)
            if name == "p":
                yield from self._paragraph(element)
            elif name == "tbl":
                yield Table(self._rows(element))
            elif name in {"sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"}:
                yield from self._content(element)

    def _paragraph(self, element: _Element) -> Iterator[Block]:
        text = self._inline.text(element)
        boxes = [box for box in element.iter() if local_name(box) == "txbxContent"]
        if text.strip():
            yield self._typed(element, text.strip())
        for box in boxes[:1]:  # what follows is the same once more, for older programs
            yield from self._content(box)

    def _typed(self, element: _Element, text: str) -> Block:
        properties = next((child for child in element if local_name(child) == "pPr"), None)
        style = self._styles.get(_value(properties, "pStyle"))
        outline = _value(properties, "outlineLvl")
        level = int(outline) + 1 if outline.isdigit() and int(outline) < 9 else style.heading  # noqa: PLR2004 - 9 is body text
        if level:
            return Block("heading", clean(text).replace("**", ""), min(level, 6))
        listed = (
            next((child for child in properties if local_name(child) == "numPr"), None)
            if properties is not None
            else None
        )
        number_id = _value(listed, "numId") or style.number_id
        if number_id and number_id != "0":
            depth = _value(listed, "ilvl") or style.list_level
            depth_number = min(int(depth), 8) if depth.isdigit() else 0
            return Block("item", text, depth_number, self._numbering.count(number_id, depth_number))
        return Block("text", text)

    def _rows(self, table: _Element) -> list[Row]:
        rows = [part for part in table.iter() if local_name(part) == "tr" and _owner(part) is table]
        return [[cell for column in _cells(row) for cell in self._cell(column)] for row in rows]

    def _cell(self, cell: _Element) -> list[str]:
        properties = next((child for child in cell if local_name(child) == "tcPr"), None)
        span = _value(properties, "gridSpan")
        width = min(int(span), _MAX_SPAN) if span.isdigit() else 1
        merged = next((c for c in properties if local_name(c) == "vMerge"), None) if properties is not None else None
        goes_on = merged is not None and attribute(merged, "val") != "restart"
        words = [self._inline.text(part, marked=False).strip() for part in cell.iter() if local_name(part) == "p"]
        return ["" if goes_on else "\n".join(word for word in words if word), *[""] * (width - 1)]

    def _notes(self, kind: str) -> Iterator[Block]:
        entry = f"word/{kind}s.xml"
        if entry not in self._package:
            return
        for note in parse_entry(self._package, entry):
            text = " ".join(self._inline.text(part).strip() for part in note.iter() if local_name(part) == "p")
            if text.strip() and attribute(note, "type") not in {"separator", "continuationSeparator"}:
                yield Block("text", f"[^{kind[0]}{attribute(note, 'id')}]: {text.strip()}")


def _value(parent: _Element | None, name: str) -> str:
    """`val` of the child with that name; empty if there is none."""
    if parent is None:
        return ""
    return attribute(next((child for child in parent if local_name(child) == name), None), "val")


def _owner(row: _Element) -> _Element | None:
    """The table that a row belongs to."""
    return next((above for above in row.iterancestors() if local_name(above) == "tbl"), None)


def _cells(row: _Element) -> Iterator[_Element]:
    for element in row:
        if local_name(element) == "tc":
            yield element
        elif local_name(element) in {"sdt", "sdtContent"}:
            yield from _cells(element)
