"""What a file is, by its bytes. Its name only decides between kinds of text, which look alike."""

from __future__ import annotations

from muxi_servers.documents.formats.delimited import delimiter_of
from muxi_servers.documents.package import Package
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["MIME_TYPES", "detect"]

MIME_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "epub": "application/epub+zip",
    "html": "text/html",
    "svg": "image/svg+xml",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "markdown": "text/markdown",
    "text": "text/plain",
    "image": "image/*",
}
_SNIFFED = 64 * 1024
_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_IMAGES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*"),
    *(b"P1\n", b"P2\n", b"P3\n", b"P4\n", b"P5\n", b"P6\n"),
)
_OOXML = (("word/document.xml", "docx"), ("xl/workbook.xml", "xlsx"), ("ppt/presentation.xml", "pptx"))
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")
_TABLES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}
_PROSE = {".md": "markdown", ".markdown": "markdown", ".txt": "text", ".json": "text", ".log": "text", ".py": "text"}


def detect(file: BinaryIO, name: str) -> str:
    """A key of `MIME_TYPES`; the file is left at its beginning.

    Raises:
        ToolError: it is empty, encrypted as a whole, or nothing that can be read here.
    """
    start = file.read(_SNIFFED)
    file.seek(0)
    if not start.strip(b"\0 \t\r\n"):
        raise ToolError(f"{name} is empty.")
    if b"%PDF-" in start[:1024]:
        return "pdf"
    if start.startswith(b"PK"):
        found = _in_package(Package(file), name)
        file.seek(0)
        return found
    if start.startswith(_OLE2):
        raise _ole2_error(file, name)
    if start.startswith(_IMAGES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "image"
    return _text_format(start, name)


def _in_package(package: Package, name: str) -> str:
    for entry, found in _OOXML:
        if entry in package:
            return found
    if "mimetype" in package:
        told = package.read("mimetype")[:200].decode("ascii", "replace").strip()
        for found, mime_type in MIME_TYPES.items():
            if told in {mime_type, f"{mime_type}-template"}:
                return found
    if "META-INF/container.xml" in package:
        return "epub"
    raise ToolError(
        f"{name} is a ZIP file, but no document that is known here (DOCX, XLSX, PPTX, ODT, ODS, ODP, EPUB). "
        "Unpack it with the shell or code tools and read the files in it."
    )


def _ole2_error(file: BinaryIO, name: str) -> ToolError:
    data = file.read()
    if "EncryptedPackage".encode("utf-16-le") in data:
        return ToolError(f"{name} is encrypted with a password. Save it without one in the program it comes from.")
    return ToolError(f"{name} is in the format of Office 97 to 2003. Save it as DOCX, XLSX or PPTX and read that.")


def _text_format(start: bytes, name: str) -> str:
    if start.startswith(b"{\\rtf"):
        raise ToolError(f"{name} is RTF, which is not read here. Save it as DOCX, ODT or PDF.")
    is_utf16 = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = start.decode("utf-16", "replace").encode() if is_utf16 else start
    if b"\0" in text:
        raise ToolError(f"{name} is a binary file of a kind that is not known here.")
    head = text.removeprefix(b"\xef\xbb\xbf").lstrip()[:2048].lower()
    if any(head.startswith(mark) for mark in _HTML) or b"<html" in head:
        return "html"
    if b"<svg" in head and head.startswith(b"<"):
        return "svg"
    ending = f".{name.lower().rpartition('.')[2]}"
    if ending in {".html", ".htm", ".xhtml"} and b"<" in head:
        return "html"
    if ending in _PROSE:
        return _PROSE[ending]
    delimiter = delimiter_of(text.decode("utf-8", "replace"), certain=ending not in _TABLES)
    if delimiter:
        return "tsv" if delimiter == "\t" else "csv"
    return _TABLES.get(ending, "text")
