"""Documents made by hand: such as no well-behaved program writes, and some that are simple."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib

__all__ = [
    "ENCRYPTED_PDF",
    "epub",
    "huge_png",
    "odt",
    "office",
    "pdf",
    "pptx",
    "word_xml",
    "zipped",
]

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
# AES-256, its password is `open sesame`, its text `Top secret plans`; written with pypdf.
ENCRYPTED_PDF = zlib.decompress(
    base64.b64decode(
        "eNqNVL2LXFUUb6wuW/gnXIJbmne/P8KwsNmd0RDDDjvJshhFzv3ajOzOLG/ehsRCEgURC5s0adIIdglpAhYhZSLYCNqkSaOgrV1A"
        "FDzvzWQzMCl8H3Dvub9zfr9z7rl3fbg9eJeflWT9t99//pVwyug0fEp6PVJdvnmcabUFDRxOD0g1hIM8owIBu2Rjg+RJaoFixaHD"
        "keriOM3oVSpbPP2YVFvTk0lD+ZKrfKNrS1RnhM6Zqks5jeH89AbGYvhKxijHv4s4aRA4o2qO3M2z6UkdUWQbcYCr8wHVrzTPvwW9"
        "WqL/IE8OmmvUqHZ91tQZjsiZb/69dW7t4o9BPvr72dr4iwe3H3/Nf3j43f7m8Muf9v64e/b7f3qf//Lnt0/f2X++/9Enb63dv/fh"
        "nRcXvpLvvXx55u2/nrQ8i1ALRr2ScCuSVKOT0HTT1shJdR5muZNfvZ8Pr+dmHGFJt1mKskc15k3NaQZC43hIlfDKGyu8wPzHh02u"
        "aTVqYJKgTqTaoT0QNuugeDKmhOBEZkU6FRwXTBelnMPVKASzRmqpnWbaK5zmBEq77JOJTAtuipCSG+NV4jplJyFpx03ieYNUV2jP"
        "SBaT5EF7rk0yFiz3KcgiolQuegk6KQMhaCiBWx6ZUSWDyMIpYCgmBhU58yZH8FpYZxhEw4wsqQQtfEGWrUG3yaMmLUabJ821/vW2"
        "gartadw5zpMWdIlWm/3RnjwtlBSLbkDXowGdB2gn9evJTp/2kJcpxnjWCkCDjT5HkZS1BtOOuRhfgvQyRB6wVMlqXjITIWsEettJ"
        "vIJhlCqYslWFl2AElKgcFjIFlyRwMDYJpYsXriTplVVZSZ1bQp01Ft0nDDPM9RG2NkBUgJbElMcNKSXqYpOVrb5onVxu8Rt1LoRR"
        "S9jpQ43GDaWFnto4tmW3MnltM2rFxoVcsQnNVmzyDb5KLtmaGsaHue76dzT+LKO8anc6xbthfowvbONR70XmvZSWCSEsAygsicIh"
        "YesEL4SDjf8DwUuiP4n1zeOGmld3wKyBuukK450n6+v9nQH5D5cNYUQ="
    )
)


def zipped(entries: dict[str, str | bytes]) -> bytes:
    """A ZIP file."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in entries.items():
            package.writestr(name, data)
    return held.getvalue()


def word_xml(body: str, before: str = "") -> str:
    """The main part of a Word document, its body being a text."""
    text = f"<w:p><w:r><w:t>{body}</w:t></w:r></w:p>"
    return f'<?xml version="1.0"?>{before}<w:document xmlns:w="{_WORD}"><w:body>{text}</w:body></w:document>'


def office(main: str, xml: str | bytes, more: dict[str, str | bytes] | None = None) -> bytes:
    """A document of Office with that main part."""
    return zipped({"[Content_Types].xml": _TYPES, main: xml, **(more or {})})


def pptx(title: str, point: str) -> bytes:
    """A presentation of one slide."""
    spaces = f'xmlns:p="urn:p" xmlns:a="urn:a" xmlns:r="{_RELATION}"'
    shapes = "".join(
        f"<p:sp><p:nvSpPr><p:nvPr><p:ph {kind}/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p>"
        "</p:txBody></p:sp>"
        for kind, text in (('idx="1"', point), ('type="title"', title))
    )
    relations = f'<R><Relationship Id="rId1" Type="{_RELATION}/slide" Target="slides/slide1.xml"/></R>'
    return office(
        "ppt/presentation.xml",
        f'<p:presentation {spaces}><p:sldIdLst><p:sldId id="256" r:id="rId1"/></p:sldIdLst></p:presentation>',
        {
            "ppt/_rels/presentation.xml.rels": relations,
            "ppt/slides/slide1.xml": f"<p:sld {spaces}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>",
        },
    )


def odt(heading: str, text: str) -> bytes:
    """A text of OpenDocument."""
    spaces = 'xmlns:office="urn:o" xmlns:text="urn:t"'
    body = f'<text:h text:outline-level="2">{heading}</text:h><text:p>{text}</text:p>'
    content = f"<office:doc {spaces}><office:body><office:text>{body}</office:text></office:body></office:doc>"
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content})


def epub(chapters: dict[str, str]) -> bytes:
    """A book: the HTML of each chapter by the path that the book refers to it with."""
    items = "".join(
        f'<item id="c{number}" href="{path}" media-type="application/xhtml+xml"/>'
        for number, path in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{number}"/>' for number in range(len(chapters)))
    about = "<metadata><title>The book</title><creator>Bea</creator><language>en</language></metadata>"
    entries: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<c><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></c>',
        "OPS/book.opf": f"<package>{about}<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    return zipped({**entries, **{f"OPS/{path}": html for path, html in chapters.items() if ".." not in path}})


def pdf(pages: list[str]) -> bytes:
    """A PDF with a line of text on each page; none where it is empty."""
    count = len(pages)
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(count))
    objects = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {count}>>"]
    font = "<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    for number, text in enumerate(pages):
        drawn = f"BT /F 18 Tf 20 40 Td ({text}) Tj ET" if text else ""
        contents = f"/Contents {4 + 2 * number} 0 R/Resources{font}"
        objects.append(f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]{contents}>>")
        objects.append(f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream")
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj{body} endobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer<</Size {len(objects) + 1}/Root 1 0 R>>\n"
    return data + f"{end}startxref\n{len(data)}\n%%EOF".encode()


def huge_png(width: int, height: int) -> bytes:
    """A picture that says it is that large; there is next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
