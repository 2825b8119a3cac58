"""Pictures that a program wrote into the workspace."""

from __future__ import annotations

import os

from muxi_servers.kit.content import image
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.pictures import image_type
from muxi_servers.kit.workspace import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.workspace import Workspace

__all__ = ["MAX_IMAGES", "MAX_IMAGE_BYTES", "find_images"]

MAX_IMAGES = 4
MAX_IMAGE_BYTES = 4 * 2**20  # of all images of one result
_LONGEST_SIGNATURE = 12


def find_images(workspace: Workspace, paths: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The first few images among the files, with their paths; those that do not fit any more are left out."""
    found: list[tuple[str, dict[str, Any]]] = []
    room = MAX_IMAGE_BYTES
    for path in paths:
        if len(found) == MAX_IMAGES:
            break
        data = _read_image(workspace, path, room)
        kind = image_type(data)
        if kind:
            room -= len(data)
            found.append((path, image(data, kind)))
    return found


def _read_image(workspace: Workspace, path: str, room: int) -> bytes:
    """The file's bytes if it is an image that fits, else nothing."""
    try:
        with workspace.locate(path, follow=False) as place:
            fd = open_regular(place.folder, place.name)
    except (ToolError, OSError):
        return b""  # gone, or no file: nothing to show
    with open(fd, "rb") as file:
        data = file.read(_LONGEST_SIGNATURE)
        if not image_type(data) or os.fstat(fd).st_size > room:
            return b""
        data += file.read(room)
        return data if len(data) <= room else b""
