"""The files of `fake.FakeBackend`: names to bytes, without folders of their own, in and out as the same tar."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from anyio.lowlevel import checkpoint

from muxi_sandbox.workspaces.contract import (
    Bounds,
    Entry,
    ExistsError,
    Report,
    WorkspaceError,
    WorkspaceFullError,
)
from muxi_sandbox.workspaces.names import parts_of
from muxi_sandbox.workspaces.tar import BLOCK, Reader, end, header

if TYPE_CHECKING:
    from collections.abc import Callable

    from muxi_sandbox.fake_workspace import FakeWorkspace

__all__ = ["MemoryFiles"]

MIB = 2**20


class MemoryFiles:
    """See `contract.WorkspaceFiles`. It has no times, and no folder without a file in it."""

    def __init__(self, where: Callable[[], FakeWorkspace | None]) -> None:
        """`where` is asked at each operation; `None`: the task has no workspace now."""
        self._where = where

    async def entries(self, path: str = "", bounds: Bounds = Bounds()) -> tuple[list[Entry], Report]:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.entries`."""
        await checkpoint()
        below = self._below(path, bounds)
        found: dict[str, Entry] = {}
        for name, data in below.items():
            first, _, rest = name.partition("/")
            found[first] = Entry(first, "folder" if rest else "file", 0 if rest else len(data), 0)
        return sorted(found.values(), key=lambda entry: entry.path), Report()

    async def pack(self, path: str, into: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.pack`."""
        await checkpoint()
        workspace, whole = self._workspace(), "/".join(parts_of(path, bounds.depth))
        one = {whole.rpartition("/")[2]: workspace.files[whole]} if whole in workspace.files else None
        report = Report()
        for name, data in sorted((one or self._below(path, bounds)).items()):
            into.write(header(name, is_folder=False, size=len(data)) + data + bytes(-len(data) % BLOCK))
            report.files += 1
            report.bytes += len(data)
        into.write(end())
        return report

    async def unpack(
        self,
        source: BinaryIO,
        path: str = "",
        *,
        overwrite: bool = False,
        bounds: Bounds = Bounds(),  # noqa: B008  # frozen
    ) -> Report:
        """See `contract.WorkspaceFiles.unpack`."""
        await checkpoint()
        return _unpack(self._workspace(), source, parts_of(path, bounds.depth), bounds, overwrite=overwrite)

    async def replace(self, source: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.replace`."""
        await checkpoint()
        workspace = self._workspace()
        before = dict(workspace.files)
        workspace.files.clear()
        try:
            return _unpack(workspace, source, (), bounds, overwrite=True)
        except WorkspaceError:
            workspace.files.clear()
            workspace.files.update(before)
            raise

    def _workspace(self) -> FakeWorkspace:
        workspace = self._where()
        if workspace is None:
            raise WorkspaceError("The task has no workspace: it begins with the first sandbox that uses one.")
        return workspace

    def _below(self, path: str, bounds: Bounds) -> dict[str, bytes]:
        prefix = "".join(f"{part}/" for part in parts_of(path, bounds.depth))
        files = self._workspace().files
        below = {name.removeprefix(prefix): data for name, data in files.items() if name.startswith(prefix)}
        if prefix and not below:
            raise WorkspaceError(f"There is no {path!a} in the workspace.")
        if len(below) > bounds.entries:
            raise WorkspaceError(f"The workspace holds more than {bounds.entries} entries.")
        return below


def _unpack(
    workspace: FakeWorkspace, source: BinaryIO, base: tuple[str, ...], bounds: Bounds, *, overwrite: bool
) -> Report:
    report = Report()
    reader = Reader(source, bounds)
    for member in reader.members():
        if member.is_folder:
            report.folders += 1
            continue
        name, data = "/".join((*base, *member.parts)), b"".join(reader.content())
        if name in workspace.files and not overwrite:
            raise ExistsError(f"{name!a} is there already. Ask to overwrite it, or put it elsewhere.")
        others = {other: content for other, content in workspace.files.items() if other != name}
        if sum(map(len, others.values())) + len(data) > workspace.size_bytes:
            raise WorkspaceFullError("workspace_mib", workspace.size_bytes // MIB)
        if len(others) + 2 > workspace.inodes:
            raise WorkspaceFullError("workspace_inodes", workspace.inodes)
        workspace.files[name] = data
        report.files += 1
        report.bytes += len(data)
    return report
