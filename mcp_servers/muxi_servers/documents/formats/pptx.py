"""PowerPoint presentations, read from their XML: titles, text, tables and notes of each slide."""

from __future__ import annotations

from muxi_servers.documents.formats.office import attribute, relations_of, take_properties
from muxi_servers.documents.markdown import clean, emphasise, link, plain
from muxi_servers.documents.model import Block, Document, Part, Table
from muxi_servers.documents.xml import local_name, parse_entry, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from muxi_servers.documents.model import Row
    from muxi_servers.documents.package import Package

__all__ = ["open_pptx"]

_MAIN = "ppt/presentation.xml"
_TITLES = frozenset(("title", "ctrTitle"))
_FURNITURE = frozenset(("sldNum", "dt", "ftr", "hdr"))


def open_pptx(package: Package, mime_type: str) -> Document:
    """The document: a part for each slide, in the order of the show."""
    relations = relations_of(package, _MAIN)
    ids = [attribute(e, "id") for e in _slide_ids(package)]
    entries = [relations[name][1] for name in ids if name in relations]

    def read(number: int) -> Part:
        slide = _Slide(package, entries[number - 1])
        blocks = slide.blocks()
        return Part(number, blocks, slide.title)

    document = Document("pptx", mime_type, "slide", len(entries), read)
    take_properties(document, package)
    return document


def _slide_ids(package: Package) -> Iterator[_Element]:
    """The elements that name the slides; each has two attributes `id`, and the one with a namespace counts."""
    for element in parse_entry(package, _MAIN).iter():
        if local_name(element) == "sldId":
            if "id" in element.attrib:
                del element.attrib["id"]
            yield element


class _Slide:
    def __init__(self, package: Package, entry: str) -> None:
        self._package = package
        self._entry = entry
        self._relations = relations_of(package, entry)
        self.title = ""

    def blocks(self) -> list[Block]:
        root = parse_entry(self._package, self._entry)
        tree = next((part for part in root.iter() if local_name(part) == "spTree"), root)
        found = list(self._shapes(tree))
        headings = [block for block in found if block.kind == "heading"]
        return [*headings, *(block for block in found if block.kind != "heading"), *self._notes()]

    def _shapes(self, parent: _Element) -> Iterator[Block]:
        for shape in parent:
            name = local_name(shape)
            if name == "sp":
                yield from self._shape(shape)
            elif name == "grpSp":
                yield from self._shapes(shape)
            elif name == "graphicFrame":
                yield from (Table(self._rows(part)) for part in shape.iter() if local_name(part) == "tbl")
            elif name == "pic":
                told = next((part for part in shape.iter() if local_name(part) == "cNvPr"), None)
                if attribute(told, "descr").strip():
                    yield Block("text", f"[picture: {clean(attribute(told, 'descr'))}]")

    def _shape(self, shape: _Element) -> Iterator[Block]:
        place = next((part for part in shape.iter() if local_name(part) == "ph"), None)
        kind = attribute(place, "type")
        if kind in _FURNITURE:
            return
        lines = [part for part in shape.iter() if local_name(part) == "p"]
        if kind in _TITLES and place is not None:
            self.title = clean(" ".join(texts(line, "t") for line in lines))
            if self.title:
                yield Block("heading", self.title, 2)
            return
        is_list = place is not None and kind in {"", "body", "obj"}
        for line in lines:
            text = self._line(line)
            if not text:
                continue
            level = attribute(next((part for part in line if local_name(part) == "pPr"), None), "lvl")
            depth = min(int(level), 8) if level.isdigit() else 0
            yield Block("item", text, depth) if is_list else Block("text", text)

    def _line(self, paragraph: _Element) -> str:
        words = []
        for run in paragraph:
            name = local_name(run)
            if name in {"r", "fld"}:
                marks = next((part for part in run if local_name(part) == "rPr"), None)
                text = emphasise(
                    texts(run, "t"), bold=attribute(marks, "b") == "1", italic=attribute(marks, "i") == "1"
                )
                click = next((part for part in run.iter() if local_name(part) == "hlinkClick"), None)
                kind, target = self._relations.get(attribute(click, "id"), ("", ""))
                words.append(link(text, target) if kind == "hyperlink" else text)
            elif name == "br":
                words.append(" ")
        return plain("".join(words)).strip()

    def _rows(self, table: _Element) -> list[Row]:
        rows: list[Row] = []
        for row in table:
            if local_name(row) != "tr":
                continue
            cells = [cell for cell in row if local_name(cell) == "tc"]
            rows.append(["\n".join(self._line(p) for p in cell.iter() if local_name(p) == "p") for cell in cells])
        return rows

    def _notes(self) -> Iterator[Block]:
        entry = next((target for kind, target in self._relations.values() if kind == "notesSlide"), "")
        if entry not in self._package:
            return
        for shape in parse_entry(self._package, entry).iter():
            place = next((part for part in shape.iter() if local_name(part) == "ph"), None)
            if local_name(shape) == "sp" and attribute(place, "type") == "body":
                text = "\n".join(self._line(part) for part in shape.iter() if local_name(part) == "p").strip()
                if text:
                    yield Block("text", f"Notes: {text}")
