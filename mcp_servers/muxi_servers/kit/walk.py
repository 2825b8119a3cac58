"""Everything below a folder, in order, without ever following a link."""

from __future__ import annotations

import os
import stat

from muxi_servers.kit.workspace import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Found", "walk"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found:
    """One thing below the folder.

    Attributes:
        path: from the folder that the walk began in.
        folder, name: where it is; the descriptor is good until the walk goes on.
        status: of the thing itself.
        depth: 1 directly in that folder.
        unread: a folder that was not entered: too deep, or not to be listed.
    """

    __slots__ = ("depth", "folder", "name", "path", "status", "unread")

    def __init__(self, path: str, folder: int, status: os.stat_result, depth: int) -> None:
        self.path = path
        self.name = path.rpartition("/")[2]
        self.folder = folder
        self.status = status
        self.depth = depth
        self.unread = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder itself, not a link to one."""
        return stat.S_ISDIR(self.status.st_mode)


def walk(folder: int, max_depth: int = MAX_DEPTH, prefix: str = "", depth: int = 1) -> Iterator[Found]:
    """Depth first, names sorted, a folder before what is in it. What vanishes meanwhile is left out.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue  # gone since the listing
        found = Found(prefix + name, folder, status, depth)
        if not found.is_folder:
            yield found
            continue
        inner = _open(folder, name) if depth < max_depth else -1
        found.unread = inner < 0
        try:
            yield found
            if inner >= 0:
                yield from walk(inner, max_depth, f"{found.path}/", depth + 1)
        finally:
            if inner >= 0:
                os.close(inner)


def _open(folder: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        return -1
