"""Removes folders with all that is in them, whatever a program has made of them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

__all__ = ["TemporaryFolder", "remove_tree"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(parent: int, name: str) -> None:
    """Remove a folder. Folders within are first moved up to it, so that no depth uses up descriptors or recursion.

    Raises:
        OSError: something in it cannot be removed.
    """
    top = _open_anyway(parent, name)
    try:
        while folders := _unlink_files(top):
            for folder in folders:
                _lift_out(top, folder)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _unlink_files(folder: int) -> list[str]:
    """Remove everything in it but the folders, whose names are returned."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return folders


def _lift_out(top: int, name: str) -> None:
    folder = _open_anyway(top, name)
    try:
        for inner in _unlink_files(folder):
            os.rename(inner, os.urandom(12).hex(), src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _open_anyway(parent: int, name: str) -> int:
    """Open a folder, also one that its owner may not list: then it is given that permission first."""
    try:
        folder = os.open(name, _FOLDER, dir_fd=parent)
        if os.fstat(folder).st_mode & 0o300 == 0o300:  # noqa: PLR2004 - write and enter, as removing needs
            return folder
        os.close(folder)
    except PermissionError:
        pass
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", _FOLDER, dir_fd=handle)
    finally:
        os.close(handle)


class TemporaryFolder:
    """A folder of one call in /tmp, removed at the end.

    Attributes:
        path: where it is.
    """

    def __init__(self) -> None:
        self.path = f"/tmp/call-{os.urandom(8).hex()}"  # noqa: S108 - 64 random bits, and mkdir fails if it exists  # nosec B108

    def __enter__(self) -> Self:
        os.mkdir(self.path, 0o700)
        return self

    def __exit__(self, *_: object) -> None:
        folder = os.open(os.path.dirname(self.path), _FOLDER)
        try:
            remove_tree(folder, os.path.basename(self.path))
        except FileNotFoundError:
            return  # the program removed it itself
        finally:
            os.close(folder)

    def write(self, name: str, data: bytes) -> str:
        """Put a file into it; returns its path."""
        path = f"{self.path}/{name}"
        with open(path, "xb") as file:
            file.write(data)
        return path
