"""Pictures of the workspace for a document; never one from elsewhere."""

from __future__ import annotations

import io
from urllib.parse import unquote

from muxi_servers.documents.formats.picture import open_picture
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import OsErrors, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.writing.draft import Draft

__all__ = ["Picture", "load"]

_MAX_BYTES = 20 * 2**20
_KEPT = {"PNG": "image/png", "JPEG": "image/jpeg"}


class Picture:
    """Bytes of a PNG or JPEG, and its size in pixels."""

    __slots__ = ("data", "height", "mime_type", "width")

    def __init__(self, data: bytes, mime_type: str, width: int, height: int) -> None:
        self.data = data
        self.mime_type = mime_type
        self.width = width
        self.height = height


def load(draft: Draft, source: str) -> Picture | None:
    """The picture that a Markdown text names; `None`, with a note, if it cannot be put in."""
    path = unquote(source)
    if "://" in path or path.startswith(("data:", "//")):
        draft.note(f"The picture {path[:100]} is not in the workspace: only its words were written.")
        return None
    try:
        return _load(draft, path)
    except ToolError as error:
        draft.note(f"The picture {path[:100]} was not put in: {error}")
        return None


def _load(draft: Draft, path: str) -> Picture:
    with (
        draft.workspace.locate(path) as place,
        OsErrors(path),
        open(open_regular(place.folder, place.name), "rb") as file,
    ):
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ToolError(f"it has more than {_MAX_BYTES // 2**20} MiB.")
    picture, _ = open_picture(io.BytesIO(data))
    kind = picture.format or ""
    try:
        picture.load()  # a picture that is cut off shows here, not in whoever opens the document
    except (OSError, ValueError, SyntaxError) as error:
        raise ToolError(f"it is damaged ({error}).") from None
    if kind not in _KEPT:
        held = io.BytesIO()
        picture.convert("RGBA").save(held, "PNG")
        data, kind = held.getvalue(), "PNG"
    return Picture(data, _KEPT[kind], picture.width, picture.height)
