"""The seam between whoever moves files in and out of a task's workspace and wherever that workspace is.

Above it: snapshots, the control API. Below it: `folder.FolderFiles` (production, where the host mounts workspaces) and
`memory.MemoryFiles` (tests of what is above). Both pass `conformance`.

Files travel as plain tar, as `tar.py` writes and reads it: regular files and folders, nothing else. What is in the
workspace is hostile and may change at any moment: what is no regular file or folder, and what has a name that no tar of
ours may hold, is left out and told in the report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from muxi_sandbox.errors import SandboxError

__all__ = [
    "ArchiveError",
    "Bounds",
    "Entry",
    "ExistsError",
    "Report",
    "WorkspaceError",
    "WorkspaceFiles",
    "WorkspaceFullError",
]

TOLD = 50
"""How many left-out entries are told by name; the others are only counted."""


class WorkspaceError(SandboxError):
    """What was asked of a workspace cannot be done; the workspace is as it was, or as the message says."""


class ArchiveError(WorkspaceError):
    """A tar holds what none of ours would, or ends too early. Nothing of it was, or further will be, written."""


class ExistsError(WorkspaceError):
    """A file is there already, and replacing it was not asked for."""


class WorkspaceFullError(WorkspaceError):
    """The files do not fit.

    Attributes:
        limit: `workspace_mib` or `workspace_inodes`.
        value: what it is set to.
    """

    def __init__(self, limit: str, value: int) -> None:
        super().__init__(
            f"The files do not fit into the workspace: its limit {limit} is {value}. Remove some, or raise that limit "
            "of the server whose sandbox comes first in the task."
        )
        self.limit = limit
        self.value = value


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one operation may move. Sizes are logical: a sparse file counts as what reading it would give."""

    bytes: int = 2**30
    entries: int = 100_000
    depth: int = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a workspace: `kind` is `file`, `folder`, `link`, `pipe`, `socket`, `device` or `other`."""

    path: str
    kind: str
    bytes: int
    mtime: int


@dataclass(slots=True)
class Report:
    """What an operation moved, and what it left out."""

    files: int = 0
    folders: int = 0
    bytes: int = 0
    left_out: int = 0
    told: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of the first few that were left out."""

    def leave_out(self, path: str, why: str) -> None:
        """Count it, and tell it while there is room."""
        self.left_out += 1
        if len(self.told) < TOLD:
            self.told.append((path[:500].encode("utf-8", "backslashreplace").decode(), why))


class WorkspaceFiles(Protocol):
    """One task's workspace. Paths are relative, separated by `/`; the empty one is the workspace itself.

    Every method may raise WorkspaceError: there is no such path, it is not what it should be, or bounds are passed.
    """

    async def entries(self, path: str = "", bounds: Bounds = Bounds()) -> tuple[list[Entry], Report]:  # frozen
        """What is in a folder, not below it, sorted by name."""

    async def pack(self, path: str, into: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # frozen
        """Write the file, or all that is below the folder, as a tar; names in it are relative to the folder."""

    async def unpack(
        self,
        source: BinaryIO,
        path: str = "",
        *,
        overwrite: bool = False,
        bounds: Bounds = Bounds(),  # frozen
    ) -> Report:
        """Put a tar's content below the folder, which is made if it is not there. Each file comes whole or not at all.

        Raises:
            ArchiveError, ExistsError, WorkspaceFullError: those before it stay.
        """

    async def replace(self, source: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # frozen
        """Make the workspace hold exactly what a seekable tar holds. The tar is checked whole before anything goes.

        Raises:
            ArchiveError, WorkspaceFullError: nothing was changed, unless a program of the task filled it meanwhile.
        """
