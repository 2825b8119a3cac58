"""OpenDocument: text (ODT), spreadsheets (ODS) and presentations (ODP), read from their XML."""

from __future__ import annotations

from itertools import islice

from muxi_servers.documents.formats.office import attribute
from muxi_servers.documents.formats.opendocument_text import inline, rows_of
from muxi_servers.documents.markdown import clean
from muxi_servers.documents.model import Block, Document, Part, Table
from muxi_servers.documents.xml import local_name, parse_entry
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from muxi_servers.documents.model import Window
    from muxi_servers.documents.package import Package

__all__ = ["open_opendocument"]

_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "subject": "subject",
    "language": "language",
    "creation-date": "created",
    "date": "modified",
}
_UNITS = {"odt": "document", "ods": "sheet", "odp": "slide"}
_PARTS = {"ods": "table", "odp": "page"}


def open_opendocument(package: Package, form: str, mime_type: str, window: Window) -> Document:
    """The document: a part for each sheet or slide; a text is one part."""
    _refuse_encrypted(package)
    root = parse_entry(package, "content.xml")
    body = next((part for part in root.iter() if local_name(part) in {"text", "spreadsheet", "presentation"}), root)
    parts = [part for part in body if local_name(part) == _PARTS[form]] if form in _PARTS else [body]
    ordered = _ordered_lists(root)

    def read(number: int) -> Part:
        element = parts[number - 1]
        if form == "ods":
            return Part(number, [_sheet(element, window)], attribute(element, "name"))
        blocks = list(_blocks(element, ordered))
        return Part(number, blocks, attribute(element, "name") if form == "odp" else "")

    document = Document(form, mime_type, _UNITS[form], len(parts), read)
    document.names = [attribute(part, "name") for part in parts] if form in _PARTS else []
    _take_properties(document, package)
    if any(name.startswith("Basic/") and name.count("/") > 1 for name in package.names):
        document.notes.append("It has macros. They were not run.")
    return document


def _refuse_encrypted(package: Package) -> None:
    if "META-INF/manifest.xml" not in package:
        return
    root = parse_entry(package, "META-INF/manifest.xml")
    if any(local_name(part) == "encryption-data" for part in root.iter()):
        raise ToolError("The document is encrypted with a password. Save it without one in the program it comes from.")


def _take_properties(document: Document, package: Package) -> None:
    if "meta.xml" not in package:
        return
    for element in parse_entry(package, "meta.xml").iter():
        name = _PROPERTIES.get(local_name(element))
        if name and element.text and element.text.strip():
            document.metadata[name] = element.text.strip()


def _ordered_lists(root: _Element) -> frozenset[str]:
    """Names of list styles whose first level is numbered."""
    found = set()
    for style in root.iter():
        if local_name(style) == "list-style" and len(style):
            first = style[0]
            if local_name(first) == "list-level-style-number" and attribute(first, "num-format"):
                found.add(attribute(style, "name"))
    return frozenset(found)


def _blocks(parent: _Element, ordered: frozenset[str]) -> Iterator[Block]:
    for element in parent:
        name = local_name(element)
        if name in {"h", "p"}:
            yield from _paragraph(element, name, ordered)
        elif name == "list":
            yield from _items(element, 0, ordered, numbered=attribute(element, "style-name") in ordered)
        elif name == "table":
            yield Table(list(islice(rows_of(element), 100_000)))
        elif name in {"section", "frame", "text-box", "index-body", "g", "custom-shape", "notes", "table-of-content"}:
            yield from _blocks(element, ordered)


def _paragraph(element: _Element, name: str, ordered: frozenset[str]) -> Iterator[Block]:
    text = inline(element).strip()
    if text and name == "h":
        level = attribute(element, "outline-level")
        yield Block("heading", clean(text), int(level) if level.isdigit() and len(level) == 1 else 1)
    elif text:
        yield Block("text", text)
    yield from _frames(element, ordered)


def _frames(paragraph: _Element, ordered: frozenset[str]) -> Iterator[Block]:
    for box in paragraph.iter():
        if local_name(box) == "text-box":
            yield from _blocks(box, ordered)


def _items(element: _Element, depth: int, ordered: frozenset[str], *, numbered: bool) -> Iterator[Block]:
    number = 0
    for item in element:
        if local_name(item) not in {"list-item", "list-header"}:
            continue
        for part in item:
            if local_name(part) == "list":
                yield from _items(part, min(depth + 1, 8), ordered, numbered=numbered)
            elif local_name(part) in {"p", "h"} and inline(part).strip():
                number += 1
                yield Block("item", inline(part).strip(), depth, number if numbered else 0)


def _sheet(element: _Element, window: Window) -> Table:
    rows, total = [], 0
    for row in rows_of(element, formulas=window.formulas):
        total += 1
        if window.first_row <= total < window.first_row + window.max_rows:
            rows.append(row)
    table = Table(rows, attribute(element, "name"))
    table.first_row, table.total_rows = window.first_row, total
    return table
