"""A folder of a stranger's into a tar, or listed. The folder may change under the reader's hands."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from muxi_sandbox.workspaces.contract import Entry, Report, WorkspaceError
from muxi_sandbox.workspaces.descent import kind_of, open_file, open_folder, opened_folder
from muxi_sandbox.workspaces.names import NAME_BYTES, PATH_BYTES, parts_of, why_not_a_name
from muxi_sandbox.workspaces.tar import BLOCK, end, header

if TYPE_CHECKING:
    from typing import BinaryIO

    from muxi_sandbox.workspaces.contract import Bounds

__all__ = ["list_folder", "pack_tree"]

PIECE = 64 * 1024
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR)
"""What opening says of a thing that is not any more what the listing said."""


def list_folder(root: int, path: str, bounds: Bounds) -> tuple[list[Entry], Report]:
    """See `contract.WorkspaceFiles.entries`."""
    report = Report()
    entries: list[Entry] = []
    with _at(root, path, parts_of(path, bounds.depth)) as folder:
        for name in _names(folder, bounds.entries):
            why = why_not_a_name(name)
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError:
                why = "gone meanwhile"
            if why:
                report.leave_out(name, why)
            else:
                size = found.st_size if stat.S_ISREG(found.st_mode) else 0
                entries.append(Entry(name, kind_of(found.st_mode), size, int(found.st_mtime)))
    return entries, report


def pack_tree(root: int, path: str, into: BinaryIO, bounds: Bounds) -> Report:
    """See `contract.WorkspaceFiles.pack`. The same content gives the same bytes: names are sorted, owners dropped."""
    parts = parts_of(path, bounds.depth)
    packing = _Packing(into, bounds)
    if parts and not _is_folder(root, path, parts):
        with _at(root, path, parts[:-1]) as parent:
            packing.file(parent, parts[-1], parts[-1])
        if not packing.report.files:
            raise WorkspaceError(f"{path!a} cannot be read: {packing.report.told[0][1]}.")
    else:
        with _at(root, path, parts) as folder:
            packing.folder(folder, "", 0)
    into.write(end())
    return packing.report


class _at:  # noqa: N801  # reads as the statement it stands in
    """`opened_folder`, with errors that name the path."""

    def __init__(self, root: int, path: str, parts: tuple[str, ...]) -> None:
        self._path = path
        self._opened = opened_folder(root, parts)

    def __enter__(self) -> int:
        try:
            return self._opened.__enter__()
        except (OSError, WorkspaceError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise WorkspaceError(f"{self._path!a} is no folder of the workspace: {why}.") from error

    def __exit__(self, *_error: object) -> None:
        self._opened.__exit__(None, None, None)


def _is_folder(root: int, path: str, parts: tuple[str, ...]) -> bool:
    with _at(root, path, parts[:-1]) as parent:
        try:
            return stat.S_ISDIR(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False).st_mode)
        except OSError as error:
            raise WorkspaceError(f"There is no {path!a} in the workspace.") from error


def _names(folder: int, most: int) -> list[str]:
    """Sorted; what could be millions is not held beyond the bound."""
    names: list[str] = []
    with os.scandir(folder) as found:
        for entry in found:
            names.append(entry.name)
            if len(names) > most:
                raise WorkspaceError(f"The workspace holds more than {most} entries, which is the most that is moved.")
    return sorted(names)


@dataclass(slots=True)
class _Packing:
    into: BinaryIO
    bounds: Bounds
    report: Report = field(default_factory=Report)
    seen: int = 0

    def folder(self, folder: int, prefix: str, depth: int) -> None:
        names = _names(folder, self.bounds.entries - self.seen)
        self.seen += len(names)
        for name in names:
            path = prefix + name
            why = why_not_a_name(name)
            if not why and len(path.encode()) > PATH_BYTES - NAME_BYTES:
                why = "its path is too long"
            if why:
                self.report.leave_out(path, why)
            else:
                self._entry(folder, name, path, depth)

    def _entry(self, parent: int, name: str, path: str, depth: int) -> None:
        try:
            kind = kind_of(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except OSError:
            self.report.leave_out(path, "gone meanwhile")
            return
        if kind == "folder" and depth + 1 >= self.bounds.depth:
            self.report.leave_out(path, f"more than {self.bounds.depth} folders deep")
        elif kind == "folder":
            self._below(parent, name, path, depth + 1)
        elif kind == "file":
            self.file(parent, name, path)
        else:
            self.report.leave_out(path, f"a {kind}, no regular file or folder")

    def _below(self, parent: int, name: str, path: str, depth: int) -> None:
        try:
            folder = open_folder(parent, name)
        except (OSError, WorkspaceError) as error:
            self.report.leave_out(path, _reason(error))
            return
        try:
            self.report.folders += 1
            # Without its time, which says only when something came or went: a restored tree gives the same bytes.
            self.into.write(header(path, is_folder=True))
            self.folder(folder, path + "/", depth)
        finally:
            os.close(folder)

    def file(self, parent: int, name: str, path: str) -> None:
        try:
            opened = open_file(parent, name)
        except (OSError, WorkspaceError) as error:
            self.report.leave_out(path, _reason(error))
            return
        try:
            self._content(opened, path)
        finally:
            os.close(opened)

    def _content(self, opened: int, path: str) -> None:
        found = os.fstat(opened)
        if self.report.bytes + found.st_size > self.bounds.bytes:
            self.report.leave_out(path, f"its {found.st_size} bytes would pass the bound of {self.bounds.bytes} in all")
            return
        executable = bool(found.st_mode & 0o100)
        self.into.write(
            header(path, is_folder=False, size=found.st_size, mtime=int(found.st_mtime), executable=executable)
        )
        left = found.st_size
        while left and (piece := os.read(opened, min(PIECE, left))):
            self.into.write(piece)
            left -= len(piece)
        if left:
            # Its header is written: what a program cut off meanwhile is made up for with zeros, and told.
            self.report.leave_out(path, "it became shorter while it was read; its end is zeros")
            _zeros(self.into, left)
        _zeros(self.into, -found.st_size % BLOCK)
        self.report.files += 1
        self.report.bytes += found.st_size


def _zeros(into: BinaryIO, count: int) -> None:
    while count:
        into.write(bytes(min(count, PIECE)))
        count -= min(count, PIECE)


def _reason(error: OSError | WorkspaceError) -> str:
    if isinstance(error, WorkspaceError):
        return str(error)
    return "changed meanwhile" if error.errno in GONE else (error.strerror or "cannot be read")
