"""The letters in pictures and in scanned pages."""

from __future__ import annotations

from itertools import islice

from muxi_servers.documents.detect import detect
from muxi_servers.documents.formats.picture import open_picture, to_grey
from muxi_servers.documents.markdown import plain
from muxi_servers.documents.opening import guarded, open_file
from muxi_servers.documents.recognition import check_languages, page_picture, recognise
from muxi_servers.documents.selection import select
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

    from PIL.Image import Image

    from muxi_servers.kit.workspace import Workspace

__all__ = ["MAX_PAGES", "run"]

MAX_PAGES = 20
_MAX_TEXT = 20_000


def run(arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """See the tool's description."""
    languages = check_languages(arguments["languages"])
    with open_file(workspace, arguments["path"]) as (file, path, _), guarded():
        form = detect(file, path)
        file.seek(0)
        count, unit, draw = _source(file, form, arguments)
        wanted = select(arguments["parts"], count, unit, [])
        pages = []
        for number in islice(wanted, MAX_PAGES):
            print(f"reading {unit} {number}", flush=True)  # noqa: T201 - standard output is progress
            picture = draw(number)
            found = recognise(picture, languages)
            pages.append(
                {
                    "number": number,
                    "text": plain(found.text)[:_MAX_TEXT],
                    "confidence": found.confidence,
                    "width": picture.width,
                    "height": picture.height,
                }
            )
        return {
            "path": path,
            "unit": unit,
            "count": count,
            "pages": pages,
            "next_parts": wanted.from_place(len(pages)) or None,
        }


def _source(file: BinaryIO, form: str, arguments: dict[str, Any]) -> tuple[int, str, Callable[[int], Image]]:
    """How many pages or frames there are, what they are called, and what draws one."""
    if form == "image":
        picture, frames = open_picture(file)
        return frames, "image", lambda number: to_grey(picture, number)
    if form == "pdf":
        from muxi_servers.documents.formats.pdf import PdfFile  # noqa: PLC0415 - not for pictures

        pdf = PdfFile(file, arguments["password"])
        return pdf.pages, "page", lambda number: page_picture(pdf, number, int(arguments["dpi"]))
    raise ToolError(f"OCR is for pictures and PDF; this is {form}, which the tool read reads as it is.")
