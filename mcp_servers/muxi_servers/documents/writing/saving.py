"""Puts a finished document into the workspace, whole or not at all."""

from __future__ import annotations

import os
import stat

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.workspace import OsErrors, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.workspace import Place, Workspace

__all__ = ["check_free", "save"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def check_free(workspace: Workspace, path: str, *, overwrite: bool) -> None:
    """Look, before the work is done, whether the document may be written there.

    Raises:
        ToolError: it may not.
    """
    with workspace.locate(path, make_folders=True) as place, OsErrors(path):
        _existing(place, overwrite=overwrite)


def save(workspace: Workspace, path: str, data: bytes, *, overwrite: bool) -> tuple[str, bool]:
    """Write it; returns its path below the workspace, and whether there was none before.

    Raises:
        ToolError: something is there that may not be replaced, or the workspace is full.
    """
    with workspace.locate(path, make_folders=True) as place, OsErrors(path):
        existing = _existing(place, overwrite=overwrite)
        temporary = f".muxi-{os.urandom(8).hex()}"
        fd = os.open(temporary, _NEW, 0o644, dir_fd=place.folder)
        try:
            with open(fd, "wb", buffering=0) as file:
                write_all(file.fileno(), data)
            if existing:
                os.rename(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            else:  # a link replaces nothing, whatever came there meanwhile
                os.link(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder, follow_symlinks=False)
                os.unlink(temporary, dir_fd=place.folder)
        except BaseException:
            os.unlink(temporary, dir_fd=place.folder)
            raise
        return place.path, not existing


def _existing(place: Place, *, overwrite: bool) -> bool:
    found = place.stat()
    if found is None:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"{place.path} is a {kind_of(found.st_mode)}, not a file.")
    if not overwrite:
        raise ToolError(f"{place.path} exists already; set overwrite, or take another name.")
    return True
