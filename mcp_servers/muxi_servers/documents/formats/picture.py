"""Pictures: what they say of themselves, and their decoding for OCR once their size has been looked at."""

from __future__ import annotations

import warnings

from muxi_servers.documents.bounds import MAX_PIXELS
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL.Image import Image

__all__ = ["open_picture", "to_grey"]

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM")
_MAX_FRAMES = 1_000
_SMALL = 1_000  # pixels of the longer side: letters of such a picture are too small for OCR as they are


def open_picture(file: BinaryIO) -> tuple[Image, int]:
    """The picture, not decoded yet, and how many frames it has.

    Raises:
        ToolError: it is damaged or too large.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - heavy

    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # checked here, with words of our own
    try:
        picture = Image.open(file, formats=_FORMATS)
        frames = min(int(getattr(picture, "n_frames", 1)), _MAX_FRAMES)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise ToolError(f"The picture is damaged or of an unknown kind ({error}).") from None
    _check_size(picture)
    return picture, frames


def to_grey(picture: Image, frame: int = 1) -> Image:
    """One frame, counted from 1, in shades of grey on white, upright, and large enough for OCR.

    Raises:
        ToolError: it is damaged or too large.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 - heavy

    try:
        picture.seek(frame - 1)
        _check_size(picture)
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in {"RGBA", "LA", "P", "PA"}:
            coloured = upright.convert("RGBA")
            white = Image.new("RGBA", coloured.size, "white")
            upright = Image.alpha_composite(white, coloured)
        grey = upright.convert("L")
    except (OSError, EOFError, ValueError, SyntaxError) as error:
        raise ToolError(f"The picture is damaged or cut off ({error}).") from None
    longer = max(grey.size)
    return grey.resize((grey.width * 2, grey.height * 2)) if longer < _SMALL else grey


def _check_size(picture: Image) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise ToolError(
            f"The picture has {picture.width} x {picture.height} pixels; {MAX_PIXELS} in all at most are decoded. "
            "Make it smaller first."
        )
