"""A picture as a document: each frame is a part, read by OCR in English."""

from __future__ import annotations

from muxi_servers.documents.formats.picture import open_picture, to_grey
from muxi_servers.documents.markdown import plain
from muxi_servers.documents.model import Block, Document, Part
from muxi_servers.documents.recognition import recognise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["open_scan"]


def open_scan(file: BinaryIO) -> Document:
    """The document; nothing is decoded before a part is asked for."""
    picture, frames = open_picture(file)

    def read(number: int) -> Part:
        found = recognise(to_grey(picture, number), "eng")
        paragraphs = plain(found.text).split("\n\n")
        return Part(number, [Block("text", paragraph) for paragraph in paragraphs if paragraph.strip()])

    kind = (picture.format or "").lower()
    document = Document("image", f"image/{kind}", "image", frames, read)
    document.details.update(kind=kind, width=str(picture.width), height=str(picture.height), mode=picture.mode)
    document.notes.append("A picture: its text is read by OCR in English; the tool ocr has other languages.")
    return document
