"""Letters in pictures, by Tesseract."""

from __future__ import annotations

import io

from muxi_servers.documents.bounds import MAX_PIXELS
from muxi_servers.documents.programs import run
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from PIL.Image import Image

    from muxi_servers.documents.formats.pdf import PdfFile

__all__ = ["Recognised", "check_languages", "page_picture", "recognise"]

_WORD_LEVEL = "5"
_COLUMNS = 12
_DPI_POINTS = 72


class Recognised:
    """Text with its paragraphs, and how sure Tesseract is of its words on average, 0 to 100."""

    __slots__ = ("confidence", "text")

    def __init__(self, text: str, confidence: float) -> None:
        self.text = text
        self.confidence = confidence


def check_languages(wanted: list[str]) -> str:
    """The languages as Tesseract wants them.

    Raises:
        ToolError: one is not installed.
    """
    listed = run(["tesseract", "--list-langs"]).stdout.decode("utf-8", "replace").split("\n")[1:]
    known = sorted(name for name in listed if name and name != "osd")
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ToolError(
            f"OCR does not know {', '.join(missing)[:100]}; it has {', '.join(known)}. Other languages need an image "
            "with their tesseract-ocr packages."
        )
    return "+".join(wanted)


def recognise(picture: Image, languages: str) -> Recognised:
    """Read the letters of a picture in shades of grey."""
    held = io.BytesIO()
    picture.save(held, "PPM")
    ended = run(["tesseract", "stdin", "stdout", "-l", languages, "--psm", "3", "tsv"], held.getvalue())
    ended.check("OCR")
    return _read_table(ended.stdout.decode("utf-8", "replace"))


def page_picture(pdf: PdfFile, number: int, dpi: int) -> Image:
    """A page of a PDF in shades of grey; one that is very large is drawn with fewer dots."""
    from PIL import Image  # noqa: PLC0415 - heavy

    width, height = (side * dpi / _DPI_POINTS for side in pdf.size_of(number))
    scale = ["-r", str(dpi)]
    if not width * height or width * height > MAX_PIXELS:
        scale = ["-scale-to", str(int(MAX_PIXELS**0.5))]
    drawn = pdf.run(
        ["pdftoppm", "-gray", "-singlefile", "-f", str(number), "-l", str(number), *scale], [], f"Drawing page {number}"
    )
    if not drawn:
        raise ToolError(f"Page {number} is damaged: it cannot be drawn.")
    Image.MAX_IMAGE_PIXELS = None  # bounded above
    return Image.open(io.BytesIO(drawn), formats=("PPM",))


def _read_table(table: str) -> Recognised:
    """Tesseract's words, put together to lines and paragraphs."""
    lines: dict[tuple[str, ...], list[str]] = {}
    sure: list[float] = []
    for row in table.splitlines()[1:]:
        fields = row.split("\t")
        if len(fields) < _COLUMNS or fields[0] != _WORD_LEVEL or not fields[11].strip():
            continue
        lines.setdefault(tuple(fields[2:5]), []).append(fields[11])
        sure.append(float(fields[10]))
    text, last = "", None
    for place, words in lines.items():
        between = "" if last is None else "\n" if place[:2] == last else "\n\n"
        text += between + " ".join(words)
        last = place[:2]
    return Recognised(text, round(sum(sure) / len(sure), 1) if sure else 0.0)
