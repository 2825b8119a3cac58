"""A tar into a folder, and a folder emptied. Safe in a folder whose owner works against it at the same time."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from muxi_sandbox.workspaces.contract import ExistsError, Report, WorkspaceError, WorkspaceFullError
from muxi_sandbox.workspaces.descent import open_folder, opened_folder
from muxi_sandbox.workspaces.names import parts_of
from muxi_sandbox.workspaces.tar import Reader

if TYPE_CHECKING:
    from typing import BinaryIO

    from muxi_sandbox.workspaces.contract import Bounds
    from muxi_sandbox.workspaces.tar import Member

__all__ = ["empty", "unpack_tree"]

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MIB = 2**20
SWEEPS = 1_000_000
"""System calls of one emptying, at most: a program that makes files as fast as they go must not hold it for ever."""


def unpack_tree(
    root: int, source: BinaryIO, path: str, bounds: Bounds, *, overwrite: bool, owner: int | None
) -> Report:
    """See `contract.WorkspaceFiles.unpack`. With `owner`, all that is made belongs to that user and group."""
    report = Report()
    base = parts_of(path, bounds.depth)
    reader = Reader(source, bounds)
    for member in reader.members():
        try:
            _put(root, base, member, reader, overwrite=overwrite, owner=owner)
        except OSError as error:
            raise _told(error, root, "/".join((*base, *member.parts))) from error
        report.folders += member.is_folder
        report.files += not member.is_folder
        report.bytes += member.bytes
    return report


def _put(
    root: int, base: tuple[str, ...], member: Member, reader: Reader, *, overwrite: bool, owner: int | None
) -> None:
    parts = (*base, *member.parts)
    folders = parts if member.is_folder else parts[:-1]
    with opened_folder(root, folders, make=True, owner=owner) as folder:
        if not member.is_folder:
            _put_file(folder, parts[-1], member, reader, overwrite=overwrite, owner=owner)


def _put_file(folder: int, name: str, member: Member, reader: Reader, *, overwrite: bool, owner: int | None) -> None:
    passing = f".muxi-{secrets.token_hex(8)}"
    opened = os.open(passing, NEW, 0o600, dir_fd=folder)
    try:
        try:
            for piece in reader.content():
                _write_all(opened, piece)
            if owner is not None:
                os.fchown(opened, owner, owner)
            os.fchmod(opened, 0o755 if member.executable else 0o644)
            os.utime(opened, (member.mtime, member.mtime))
        finally:
            os.close(opened)
        if overwrite:
            os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            # Unlike a rename, a link never takes the place of what is there.
            os.link(passing, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            os.unlink(passing, dir_fd=folder)
    except BaseException:
        _unlink_quietly(folder, passing)
        raise


def _write_all(opened: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(opened, piece) :]


def _unlink_quietly(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return  # gone already; or a program of the task took it, which is its own to keep


def _told(error: OSError, root: int, path: str) -> WorkspaceError:
    if error.errno == errno.EEXIST:
        return ExistsError(f"{path!a} is there already. Ask to overwrite it, or put it elsewhere.")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        system = os.fstatvfs(root)
        # One is free again by now: a tmpfs counts a link like a file, and the passing one is gone.
        if system.f_files and system.f_ffree <= 1:
            return WorkspaceFullError("workspace_inodes", system.f_files)
        return WorkspaceFullError("workspace_mib", system.f_blocks * system.f_frsize // MIB)
    return WorkspaceError(f"{path!a} could not be written: {error.strerror}.")


def empty(root: int) -> None:
    """Remove everything below an open folder, however deep: folders are moved to the top before they are removed.

    Raises:
        WorkspaceError: a program makes files faster than they go.
    """
    steps = 0
    while names := os.listdir(root):
        for name in names:
            steps += _remove(root, name)
            if steps > SWEEPS:
                raise WorkspaceError("The workspace could not be emptied: its programs go on filling it.")


def _remove(root: int, name: str) -> int:
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=root)
            return 1
        folder = open_folder(root, name)
    except OSError:
        return 1  # changed meanwhile: the next round sees what it is now
    try:
        count = sum(_raise(root, folder, inner) for inner in os.listdir(folder))  # noqa: PTH208  # a descriptor has no path
    finally:
        os.close(folder)
    try:
        os.rmdir(name, dir_fd=root)
    except OSError:
        return count + 1
    return count + 1


def _raise(root: int, folder: int, name: str) -> int:
    """A file goes; a folder comes to the top, under a name that nobody can have guessed."""
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.rename(name, f".muxi-{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=root)
        else:
            os.unlink(name, dir_fd=folder)
    except OSError:
        return 1
    return 1
