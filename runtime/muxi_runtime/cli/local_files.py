"""The user's side of a transfer: a tar of what they name, and what came out of a workspace below what they name.

Names and content from a workspace are a stranger's. Nothing is written but below the named place, no link is followed
there, and nothing is replaced unless that was asked for.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from muxi_runtime.errors import RefusedError
from muxi_sandbox.workspaces.contract import Bounds, Report
from muxi_sandbox.workspaces.folder import unpack_here
from muxi_sandbox.workspaces.reading import pack_tree
from muxi_sandbox.workspaces.tar import BLOCK, end, header

__all__ = ["Packed", "new_file", "packed_local", "spooled", "unpack_to"]

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Packed:
    """A tar at its start, and the folder of the workspace that it goes into."""

    tar: BinaryIO
    into: str
    report: Report


@contextmanager
def spooled() -> Iterator[BinaryIO]:
    """A file without a name, in the folder for temporary files."""
    with tempfile.TemporaryFile() as file:
        yield cast("BinaryIO", file)


@contextmanager
def packed_local(local: Path, path: str) -> Iterator[Packed]:
    """A file or folder of the user's, on its way to `path` of a workspace.

    Raises:
        RefusedError: it cannot be read, or is neither.
        WorkspaceError: it holds more than is moved at once.
    """
    found = local.expanduser().resolve()
    name = path if path.strip("/") and not path.endswith("/") else path + found.name
    with spooled() as tar:
        try:
            is_folder = stat.S_ISDIR(found.stat().st_mode)
            report = _pack_folder(found, tar) if is_folder else _pack_file(found, tar, name.rpartition("/")[2])
        except OSError as error:
            raise RefusedError(f"{local} cannot be read: {error.strerror}.") from error
        tar.seek(0)
        yield Packed(tar, name if is_folder else name.rpartition("/")[0], report)


def _pack_folder(folder: Path, tar: BinaryIO) -> Report:
    opened = os.open(folder, FOLDER)
    try:
        return pack_tree(opened, "", tar, Bounds())
    finally:
        os.close(opened)


def _pack_file(path: Path, tar: BinaryIO, name: str) -> Report:
    if not path.is_file():
        raise RefusedError(f"{path} is neither a file nor a folder.")
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if found.st_size > Bounds().bytes:
            raise RefusedError(f"{path} has {found.st_size} bytes; at most {Bounds().bytes} are moved at once.")
        executable = bool(found.st_mode & 0o100)
        tar.write(header(name, is_folder=False, size=found.st_size, mtime=int(found.st_mtime), executable=executable))
        shutil.copyfileobj(file, tar)
        if file.tell() != found.st_size:
            raise RefusedError(f"{path} changed while it was read.", remedy="Try again.")
    tar.write(bytes(-found.st_size % BLOCK) + end())
    return Report(files=1, bytes=found.st_size)


def unpack_to(tar: BinaryIO, local: Path, *, is_file: bool, overwrite: bool) -> Path:
    """What came out of a workspace: one file at `local`, or in that folder; or all of a folder below `local`.

    Raises:
        RefusedError: there is no such folder, or it may not be written.
        WorkspaceError: something is there already, or the tar is not what this program takes.
    """
    target = local.expanduser()
    try:
        if is_file:
            return _unpack_file(tar, target, overwrite=overwrite)
        target.mkdir(exist_ok=True)
        # A link that the user named is theirs to follow; those below are not.
        unpack_here(target.resolve(), tar, overwrite=overwrite, bounds=Bounds())
    except OSError as error:
        why = "is there already; give --overwrite to replace it" if isinstance(error, FileExistsError) else ""
        raise RefusedError(f"{error.filename2 or error.filename or target}: {why or error.strerror}.") from error
    return target


def _unpack_file(tar: BinaryIO, target: Path, *, overwrite: bool) -> Path:
    """By way of a folder of its own beside the target, since the name in the tar is the workspace's."""
    parent = target if target.is_dir() else target.parent
    with tempfile.TemporaryDirectory(dir=parent, prefix=".muxi-") as passing:
        unpack_here(Path(passing), tar, overwrite=False, bounds=Bounds())
        found = list(Path(passing).iterdir())
        if len(found) != 1 or not stat.S_ISREG(found[0].lstat().st_mode):
            raise RefusedError("The runtime answered with something else than one file.")
        final = target / found[0].name if target.is_dir() else target
        if overwrite:
            found[0].replace(final)
        else:
            # Unlike a rename, a link never takes the place of what is there.
            final.hardlink_to(found[0])
    return final


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there, gone again if the block fails.

    Raises:
        RefusedError: it is there, or cannot be made.
    """
    try:
        opened = os.open(path.expanduser(), NEW, 0o600)
    except OSError as error:
        raise RefusedError(f"{path} cannot be made: {error.strerror}.") from error
    try:
        with os.fdopen(opened, "wb") as file:
            yield file
    except BaseException:
        path.expanduser().unlink(missing_ok=True)
        raise
