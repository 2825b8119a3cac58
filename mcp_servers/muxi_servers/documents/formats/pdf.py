"""PDF by Poppler's programs: text with places and fonts, page by page."""

from __future__ import annotations

import os
import re

from muxi_servers.documents.formats.pdf_layout import page_blocks
from muxi_servers.documents.formats.pdf_lines import Page, read_pages
from muxi_servers.documents.formats.pdf_scale import Scale
from muxi_servers.documents.model import Block, Document, Part
from muxi_servers.documents.programs import run
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["NO_TEXT", "PdfFile", "open_pdf"]

NO_TEXT = "[page {number} has no text; it may be a picture of one: call ocr with parts={number}]"
_BATCH = 10
_PROPERTIES = {
    "Title": "title",
    "Author": "author",
    "Subject": "subject",
    "CreationDate": "created",
    "ModDate": "modified",
}
_DETAILS = {"Keywords": "keywords", "Producer": "producer", "Page size": "page_size", "PDF version": "pdf_version"}
_LANGUAGE = re.compile(rb"/Lang\s*\(([A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3})\)")


class PdfFile:
    """An open file and its password, as Poppler's programs are given them.

    Attributes:
        told: what `pdfinfo` says, by its own words.
    """

    def __init__(self, file: BinaryIO, password: str) -> None:
        """Look at the file.

        Raises:
            ToolError: it is damaged, or encrypted and this is not the password.
        """
        self._file = file
        self._password = ["-upw", password] if password else []
        self.told = _fields(self.run(["pdfinfo", "-isodates"], [], "Opening the PDF").decode("utf-8", "replace"))
        if not self.pages:
            raise ToolError("The PDF is damaged or cut off: it has no page that can be found.")

    @property
    def pages(self) -> int:
        """How many it has."""
        count = self.told.get("Pages", "")
        return int(count) if count.isdigit() else 0

    def run(self, program: list[str], after: list[str], what: str) -> bytes:
        """What one of Poppler's programs says of the file."""
        number = self._file.fileno()
        os.lseek(number, 0, os.SEEK_SET)
        ended = run([*program, *self._password, f"/proc/self/fd/{number}", *after], descriptors=(number,))
        if ended.code and "password" in ended.stderr.lower():
            said = "The password is not the right one" if self._password else "The PDF is encrypted"
            raise ToolError(f"{said}: give the password of the document as `password`.")
        if ended.code == 1 and program[0] == "pdfinfo":
            words = " ".join(ended.stderr.split())[-200:]
            raise ToolError(f"The PDF is damaged or cut off and cannot be opened ({words}).")
        ended.check(what)
        return ended.stdout

    def size_of(self, number: int) -> tuple[float, float]:
        """Width and height of a page in points; zeros where it does not say."""
        said = self.run(["pdfinfo", "-f", str(number), "-l", str(number)], [], "Opening the PDF")
        found = re.search(rb"size:\s+([\d.]+) x ([\d.]+) pts", said)
        return (float(found.group(1)), float(found.group(2))) if found else (0.0, 0.0)


def open_pdf(file: BinaryIO, mime_type: str, password: str) -> Document:
    """The document: a part for each page."""
    pdf = PdfFile(file, password)
    pages = _Pages(pdf)
    document = Document("pdf", mime_type, "page", pdf.pages, pages.read)
    for name, key in _PROPERTIES.items():
        if pdf.told.get(name, "(unspecified)") not in {"", "(unspecified)"}:
            document.metadata[key] = pdf.told[name]
    language = _LANGUAGE.search(_ends(file))
    if language:
        document.metadata["language"] = language.group(1).decode()
    document.details.update({key: pdf.told[name] for name, key in _DETAILS.items() if pdf.told.get(name)})
    document.encrypted = pdf.told.get("Encrypted", "no") != "no"
    if pdf.told.get("JavaScript") == "yes":
        document.notes.append("It has scripts. They were not run.")
    if pdf.told.get("Form", "none") not in {"none", ""}:
        document.notes.append("It has a form.")
    return document


def _fields(said: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in said.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _ends(file: BinaryIO) -> bytes:
    """The beginning and the end of a file, where the catalogue of a PDF usually is."""
    size = os.fstat(file.fileno()).st_size
    first = os.pread(file.fileno(), 2**20, 0)
    return first + os.pread(file.fileno(), 2**20, max(size - 2**20, 2**20))


class _Pages:
    """Reads some pages at a time, since each start of the program reads the file's tables anew."""

    def __init__(self, pdf: PdfFile) -> None:
        self._pdf = pdf
        self._held: dict[int, Page] = {}
        self._scale: Scale | None = None

    def read(self, number: int) -> Part:
        """One page."""
        if self._scale is None:  # always of the first pages, so that a level does not depend on which are asked for
            self._held = self._load(1)
            self._scale = Scale.of(list(self._held.values()), self._pdf.told.get("Creator", ""))
        if number not in self._held:
            self._held = self._load(number)
        page = self._held.get(number)
        blocks = page_blocks(page, self._scale) if page else []
        if not blocks:
            blocks = [Block("raw", NO_TEXT.format(number=number))]
        return Part(number, blocks)

    def _load(self, first: int) -> dict[int, Page]:
        last = min(first + _BATCH - 1, self._pdf.pages)
        command = ["pdftohtml", "-xml", "-i", "-stdout", "-nodrm", "-q", "-f", str(first), "-l", str(last)]
        return read_pages(self._pdf.run(command, [], f"Reading pages {first} to {last}"))
