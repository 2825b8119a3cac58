"""A task's workspace in memory: flat names to bytes, with the limits of the real one."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from muxi_sandbox.contract import Limits

__all__ = ["FakeFiles", "FakeWorkspace"]

MIB = 2**20


@dataclass(slots=True)
class FakeWorkspace:
    """The files that a task's sandboxes share."""

    size_bytes: int
    inodes: int
    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """An empty one."""
        return cls(limits.workspace_mib * MIB, limits.workspace_inodes)


class FakeFiles:
    """One program's view of the workspace."""

    def __init__(self, workspace: FakeWorkspace, *, is_writable: bool) -> None:
        self._workspace = workspace
        self._is_writable = is_writable

    def names(self) -> list[str]:
        """All files."""
        return sorted(self._workspace.files)

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: there is none.
        """
        try:
            return self._workspace.files[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", name) from None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file's content.

        Raises:
            OSError: EROFS without access, ENOSPC when size or number of files is used up.
        """
        if not self._is_writable:
            raise OSError(errno.EROFS, "read-only", name)
        others = {other: content for other, content in self._workspace.files.items() if other != name}
        used = sum(len(content) for content in others.values())
        # The folder itself is an inode too.
        if used + len(data) > self._workspace.size_bytes or len(others) + 2 > self._workspace.inodes:
            raise OSError(errno.ENOSPC, "no space left", name)
        self._workspace.files[name] = data
