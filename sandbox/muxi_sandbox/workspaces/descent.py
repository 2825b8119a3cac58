"""Opening what a stranger may be changing: by descriptors, one component at a time, following nothing.

Every open names one component of a folder that is held open, with O_NOFOLLOW: a link in its place is an error, whenever
it came there, and there is no `..`. What is on another file system than the root is refused. A descriptor that is held
stays with its file wherever that is moved to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from muxi_sandbox.workspaces.contract import WorkspaceError

__all__ = ["kind_of", "open_file", "open_folder", "opened_folder"]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def kind_of(mode: int) -> str:
    """What `Entry.kind` says of it."""
    return KINDS.get(stat.S_IFMT(mode), "other")


def open_folder(parent: int, name: str) -> int:
    """One folder below an open one; the caller closes it.

    Raises:
        OSError: it is not there, or is no folder.
    """
    found = os.open(name, FOLDER, dir_fd=parent)
    return _same_system(parent, found)


def open_file(parent: int, name: str) -> int:
    """One regular file below an open folder, for reading; never waits for a pipe. The caller closes it.

    Raises:
        OSError: it is not there, or is a link, or a special file that cannot be opened.
        WorkspaceError: it is not a regular file.
    """
    # Looked at first, so that a device is not opened; looked at again, since it may have been swapped meanwhile.
    if not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        raise WorkspaceError("it is no regular file")
    found = os.open(name, FILE, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise WorkspaceError("it is no regular file")
    return _same_system(parent, found)


def _same_system(parent: int, found: int) -> int:
    if os.fstat(parent).st_dev != os.fstat(found).st_dev:
        os.close(found)
        raise WorkspaceError("it is on another file system")
    return found


@contextmanager
def opened_folder(root: int, parts: tuple[str, ...], *, make: bool = False, owner: int | None = None) -> Iterator[int]:
    """The folder at the end of a path below an open root; with `make`, those missing are made, 0755, for `owner`.

    Raises:
        OSError | WorkspaceError: as `open_folder`.
    """
    here = os.dup(root)
    try:
        for name in parts:
            there = _open_or_make(here, name, owner) if make else open_folder(here, name)
            os.close(here)
            here = there
        yield here
    finally:
        os.close(here)


def _open_or_make(parent: int, name: str, owner: int | None) -> int:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        return open_folder(parent, name)
    made = open_folder(parent, name)
    if owner is not None:
        os.fchown(made, owner, owner)
        os.fchmod(made, 0o755)  # nosec B103  # whatever this process's umask is
    return made
