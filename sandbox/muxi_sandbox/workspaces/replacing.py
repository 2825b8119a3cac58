"""A folder's content exchanged for a tar's: what was there stays until all that is new is there.

    1. a private folder inside, which programs of the task cannot enter, gets what is new
    2. what is there goes into a second one, and what is new comes up; if that fails, all of it goes back
    3. both are removed

Where there is no room for both at once, what was there has to go first; it is checked before that the rest will fit.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from muxi_sandbox.workspaces.contract import Report, WorkspaceError, WorkspaceFullError
from muxi_sandbox.workspaces.descent import open_folder
from muxi_sandbox.workspaces.tar import Reader
from muxi_sandbox.workspaces.writing import empty, unpack_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from muxi_sandbox.workspaces.contract import Bounds

__all__ = ["replace_tree"]

MIB = 2**20
ROUNDS = 100
"""How often a program may put something in the way before the exchange is given up."""


def replace_tree(root: int, source: BinaryIO, bounds: Bounds, owner: int | None) -> Report:
    """See `contract.WorkspaceFiles.replace`. All that is made belongs to `owner`, user and group."""
    start = source.tell()
    _check_fits(root, source, bounds)
    source.seek(start)
    try:
        return _exchange(root, source, bounds, owner)
    except WorkspaceFullError:
        source.seek(start)
        empty(root)
        return unpack_tree(root, source, "", bounds, overwrite=True, owner=owner)


def _check_fits(root: int, source: BinaryIO, bounds: Bounds) -> None:
    system = os.fstatvfs(root)
    blocks = inodes = 0
    made: set[tuple[str, ...]] = set()
    for member in Reader(source, bounds).members():
        blocks += -(-member.bytes // system.f_frsize)
        made.update(member.parts[:count] for count in range(1, len(member.parts) + 1))
        inodes = len(made)
    if blocks > system.f_blocks:
        raise WorkspaceFullError("workspace_mib", system.f_blocks * system.f_frsize // MIB)
    if system.f_files and inodes >= system.f_files:
        raise WorkspaceFullError("workspace_inodes", system.f_files)


def _exchange(root: int, source: BinaryIO, bounds: Bounds, owner: int | None) -> Report:
    with _private_folder(root) as (fresh_name, fresh), _private_folder(root) as (old_name, old):
        report = unpack_tree(fresh, source, "", bounds, overwrite=True, owner=owner)
        moves = _Moves(root, fresh, old, frozenset({fresh_name, old_name}))
        try:
            moves.take_away()
            moves.bring_up()
        except (OSError, WorkspaceError) as error:
            moves.undo()
            raise WorkspaceError(f"The workspace is as it was: a program was in the way ({error}).") from error
    return report


@contextmanager
def _private_folder(root: int) -> Iterator[tuple[str, int]]:
    """A folder of this process's own, emptied and removed afterwards. Its name may change; its descriptor holds."""
    name = f".muxi-{secrets.token_hex(8)}"
    try:
        os.mkdir(name, 0o700, dir_fd=root)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WorkspaceFullError("workspace_inodes", os.fstatvfs(root).f_files) from error
        raise WorkspaceError(f"The workspace cannot be written: {error.strerror}.") from error
    try:
        folder = open_folder(root, name)
    except OSError as error:
        raise WorkspaceError("The workspace is as it was: a program took away what was to be filled.") from error
    try:
        yield name, folder
    finally:
        empty(folder)
        os.close(folder)
        with suppress(OSError):
            os.rmdir(name, dir_fd=root)


@dataclass(slots=True)
class _Moves:
    root: int
    fresh: int
    old: int
    private: frozenset[str]
    away: list[tuple[str, str]] = field(default_factory=list)
    """Name in the root, and in `old`."""
    up: list[str] = field(default_factory=list)

    def take_away(self) -> None:
        for _ in range(ROUNDS):
            names = [name for name in os.listdir(self.root) if name not in self.private]  # noqa: PTH208  # a descriptor
            if not names:
                return
            for name in names:
                self._hide(name)
        raise WorkspaceError("it goes on making files")

    def bring_up(self) -> None:
        for name in os.listdir(self.fresh):  # noqa: PTH208  # a descriptor
            self._bring_up(name)

    def undo(self) -> None:
        for name in self.up:
            with suppress(OSError):
                os.rename(name, secrets.token_hex(8), src_dir_fd=self.root, dst_dir_fd=self.fresh)
        for name, hidden in self.away:
            with suppress(OSError):
                os.rename(hidden, name, src_dir_fd=self.old, dst_dir_fd=self.root)

    def _hide(self, name: str) -> None:
        hidden = secrets.token_hex(8)
        with suppress(FileNotFoundError):  # its program took it away itself
            os.rename(name, hidden, src_dir_fd=self.root, dst_dir_fd=self.old)
            self.away.append((name, hidden))

    def _bring_up(self, name: str) -> None:
        for _ in range(ROUNDS):
            try:
                os.rename(name, name, src_dir_fd=self.fresh, dst_dir_fd=self.root)
            except OSError as error:
                if error.errno not in {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY}:
                    raise
                self._hide(name)
            else:
                self.up.append(name)
                return
        raise WorkspaceError(f"it goes on making {name!a}")
