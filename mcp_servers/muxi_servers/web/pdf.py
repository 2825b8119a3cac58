"""The text of a PDF by pages. Runs in a process of its own, in the image that has pypdf."""

from __future__ import annotations

from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError, PyPdfError

from muxi_servers.web.reading_errors import UnreadableError

__all__ = ["read_pdf"]


def read_pdf(data: bytes, limit: int) -> tuple[str, str, int, bool]:
    """(text with a heading for each page, title, pages, whether all of the text is there) of a PDF.

    Raises:
        UnreadableError: it is encrypted or broken.
    """
    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("The PDF is encrypted, and opens with a password only.")
        return _pages(reader, limit)
    except (FileNotDecryptedError, ImportError):
        raise UnreadableError("The PDF is encrypted in a way that cannot be read here.") from None
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as e:
        # The library lets these out for broken files.
        raise UnreadableError(f"The PDF is broken: {str(e)[:200] or type(e).__name__}.") from None


def _pages(reader: PdfReader, limit: int) -> tuple[str, str, int, bool]:
    title = str((reader.metadata or {}).get("/Title") or "")[:300]
    parts: list[str] = []
    size, count = 0, len(reader.pages)
    for number, page in enumerate(reader.pages, start=1):
        text = page.extract_text().strip()
        parts.append(f"## Page {number}\n\n{text or '[no text on this page]'}\n")
        size += len(parts[-1])
        if size > limit:
            return "\n".join(parts), title, count, False
    return "\n".join(parts), title, count, True
