"""HTML, well-formed or not: scripts, styles and what is hidden are left out."""

from __future__ import annotations

from muxi_servers.documents.formats.characters import to_text
from muxi_servers.documents.formats.html_blocks import Walker
from muxi_servers.documents.markdown import clean
from muxi_servers.documents.model import Block, Document, Part
from muxi_servers.documents.xml import local_name, parse
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from lxml.etree import _Element

__all__ = ["html_blocks", "open_html", "open_svg", "parse_html"]

_META = {
    "author": "author",
    "dc.creator": "author",
    "description": "subject",
    "og:title": "title",
    "article:published_time": "created",
    "article:modified_time": "modified",
    "date": "created",
}


def open_html(file: BinaryIO, mime_type: str) -> Document:
    """The document: one part."""
    root = parse_html(file.read())

    def read(_: int) -> Part:
        return Part(1, html_blocks(root))

    document = Document("html", mime_type, "document", 1, read)
    _take_metadata(document, root)
    return document


def parse_html(data: bytes) -> _Element:
    """The root of a page, whatever is wrong with it.

    Raises:
        ToolError: there is nothing in it.
    """
    from lxml import etree, html  # noqa: PLC0415 - heavy

    encoding = None
    try:
        data.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            data = to_text(data)[0].encode()
            encoding = "utf-8"
    parser = html.HTMLParser(encoding=encoding, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    try:
        root = html.document_fromstring(data, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise ToolError(f"The page cannot be read as HTML: {error}.") from None
    if any("depth" in entry.message.lower() for entry in parser.error_log):
        raise ToolError("The page is nested deeper than any browser would show; it is not read.")
    return root


def html_blocks(root: _Element) -> list[Block]:
    """The blocks of a page's body."""
    body = next((part for part in root.iter() if local_name(part) == "body"), root)
    return Walker().blocks(body)


def open_svg(file: BinaryIO, mime_type: str) -> Document:
    """The words in a drawing: its title, description and texts. Nothing is drawn."""
    root = parse(file.read(), "The drawing", may_have_dtd=True)

    def read(_: int) -> Part:
        words = [
            "".join(str(piece) for piece in part.itertext())
            for part in root.iter()
            if local_name(part) in {"desc", "text"}
        ]
        return Part(1, [Block("text", clean(word)) for word in words if word.strip()])

    document = Document("svg", mime_type, "document", 1, read)
    title = next((part.text for part in root.iter() if local_name(part) == "title" and part.text), "")
    if title:
        document.metadata["title"] = clean(title)
    document.notes.append("A drawing: only its texts are read.")
    return document


def _take_metadata(document: Document, root: _Element) -> None:
    for element in root.iter():
        name = local_name(element)
        if name == "title" and element.text and "title" not in document.metadata:
            document.metadata["title"] = clean(element.text)
        elif name == "meta":
            told = (element.get("name") or element.get("property") or "").lower()
            content = clean(element.get("content") or "")
            if told in _META and content:
                document.metadata.setdefault(_META[told], content)
        elif name == "body":
            break
    language = (root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or "").strip()
    if language:
        document.metadata["language"] = language
