"""EPUB: the chapters in reading order."""

from __future__ import annotations

from muxi_servers.documents.formats.html import html_blocks, parse_html
from muxi_servers.documents.formats.office import attribute
from muxi_servers.documents.markdown import clean
from muxi_servers.documents.model import Document, Part
from muxi_servers.documents.xml import local_name, parse_entry
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lxml.etree import _Element

    from muxi_servers.documents.package import Package

__all__ = ["open_epub"]

_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "description": "subject",
    "language": "language",
    "date": "created",
}
_PAGES = frozenset(("application/xhtml+xml", "text/html", "application/x-dtbook+xml"))
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def open_epub(package: Package, mime_type: str) -> Document:
    """The document: a part for each item of its spine.

    Raises:
        ToolError: it is damaged or protected.
    """
    _refuse_protected(package)
    entry = _main_entry(package)
    root = parse_entry(package, entry)
    items = {attribute(part, "id"): part for part in root.iter() if local_name(part) == "item"}
    spine = [items.get(attribute(part, "idref")) for part in root.iter() if local_name(part) == "itemref"]
    pages = [package.resolve(entry, attribute(part, "href")) for part in spine if _is_page(part)]
    chapters = [page for page in pages if page in package]
    names = _contents(package, entry, list(items.values()))

    def read(number: int) -> Part:
        page = chapters[number - 1]
        return Part(number, html_blocks(parse_html(package.read(page))), names.get(page, ""))

    document = Document("epub", mime_type, "chapter", len(chapters), read)
    document.names = [names.get(page, "") for page in chapters]
    if len(chapters) < len(pages):
        document.notes.append(f"{len(pages) - len(chapters)} of its chapters are missing from the file.")
    for part in root.iter():
        name = _PROPERTIES.get(local_name(part))
        if name and part.text and part.text.strip():
            document.metadata.setdefault(name, clean(part.text))
    return document


def _main_entry(package: Package) -> str:
    container = parse_entry(package, "META-INF/container.xml")
    path = next((attribute(part, "full-path") for part in container.iter() if local_name(part) == "rootfile"), "")
    entry = package.resolve("", path)
    if entry not in package:
        raise ToolError("The book is damaged: its list of contents is missing.")
    return entry


def _is_page(part: _Element | None) -> bool:
    return part is not None and attribute(part, "media-type") in _PAGES


def _refuse_protected(package: Package) -> None:
    if "META-INF/encryption.xml" not in package:
        return
    root = parse_entry(package, "META-INF/encryption.xml")
    methods = [attribute(part, "Algorithm") for part in root.iter() if local_name(part) == "EncryptionMethod"]
    if any(method not in _FONTS for method in methods):
        raise ToolError("The book is protected against copying (DRM); it cannot be read here.")


def _contents(package: Package, entry: str, items: list[_Element]) -> dict[str, str]:
    """Names of chapters by their entry, from the book's table of contents of either kind."""
    names: dict[str, str] = {}
    for item in items:
        path = package.resolve(entry, attribute(item, "href"))
        is_ncx = attribute(item, "media-type") == "application/x-dtbncx+xml"
        if path not in package or not (is_ncx or "nav" in attribute(item, "properties").split()):
            continue
        root = parse_html(package.read(path))
        for name, target in _points(root) if is_ncx else _links(root):
            names.setdefault(package.resolve(path, target), clean(name)[:200])
    return names


def _links(root: _Element) -> list[tuple[str, str]]:
    anchors = [part for part in root.iter() if local_name(part) == "a"]
    return [("".join(str(piece) for piece in part.itertext()), attribute(part, "href")) for part in anchors]


def _points(root: _Element) -> list[tuple[str, str]]:
    found = []
    for point in root.iter():
        if local_name(point).lower() == "navpoint":
            label = next((part for part in point.iter() if local_name(part) == "text"), None)
            target = next((part for part in point.iter() if local_name(part) == "content"), None)
            found.append(((label.text or "") if label is not None else "", attribute(target, "src")))
    return found
