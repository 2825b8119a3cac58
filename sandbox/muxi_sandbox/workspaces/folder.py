"""A workspace that the host sees as a folder: the tmpfs that it mounted for the task."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from anyio import to_thread

from muxi_sandbox.workspaces.contract import Bounds, Report, WorkspaceError
from muxi_sandbox.workspaces.descent import FOLDER
from muxi_sandbox.workspaces.reading import list_folder, pack_tree
from muxi_sandbox.workspaces.replacing import replace_tree
from muxi_sandbox.workspaces.writing import unpack_tree

if TYPE_CHECKING:
    from pathlib import Path

    from muxi_sandbox.workspaces.contract import Entry

__all__ = ["FolderFiles", "unpack_here"]

T = TypeVar("T")


class FolderFiles:
    """See `contract.WorkspaceFiles`. The folder is opened anew for each operation, which then stays with it.

    A task that ends meanwhile takes the mount's name away, not the memory under an open descriptor: the operation
    ends as if it had come first.
    """

    def __init__(self, where: Callable[[], Path | None], *, owner: int | None = 65534) -> None:
        """`where` is asked at each operation; `None`: the task has no workspace now."""
        self._where = where
        self._owner = owner

    async def entries(self, path: str = "", bounds: Bounds = Bounds()) -> tuple[list[Entry], Report]:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.entries`."""
        return await self._do(lambda root: list_folder(root, path, bounds))

    async def pack(self, path: str, into: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.pack`."""
        return await self._do(lambda root: pack_tree(root, path, into, bounds))

    async def unpack(
        self,
        source: BinaryIO,
        path: str = "",
        *,
        overwrite: bool = False,
        bounds: Bounds = Bounds(),  # noqa: B008  # frozen
    ) -> Report:
        """See `contract.WorkspaceFiles.unpack`."""
        return await self._do(
            partial(unpack_tree, source=source, path=path, bounds=bounds, overwrite=overwrite, owner=self._owner)
        )

    async def replace(self, source: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.replace`."""
        return await self._do(lambda root: replace_tree(root, source, bounds, self._owner))

    async def _do(self, operation: Callable[[int], T]) -> T:
        where = self._where()
        if where is None:
            raise WorkspaceError("The task has no workspace yet: it begins with the first sandbox that uses one.")
        return await to_thread.run_sync(_with_root, where, operation)


def _with_root(where: Path, operation: Callable[[int], T]) -> T:
    with _opened(where) as root:
        return operation(root)


@contextmanager
def _opened(where: Path) -> Iterator[int]:
    try:
        root = os.open(where, FOLDER)
    except OSError as error:
        raise WorkspaceError("The task's workspace is gone: the task ended.") from error
    try:
        yield root
    finally:
        os.close(root)


def unpack_here(folder: Path, source: BinaryIO, *, overwrite: bool, bounds: Bounds) -> Report:
    """A tar that came out of a workspace, below a folder of the caller's own; blocking.

    The names are a stranger's: nothing above the folder is touched and no link in it is followed.

    Raises:
        WorkspaceError: as `contract.WorkspaceFiles.unpack`.
    """
    with _opened(folder) as root:
        return unpack_tree(root, source, "", bounds, overwrite=overwrite, owner=None)
