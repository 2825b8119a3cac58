"""Workspaces that the host mounts itself: they live from a task's first sandbox to the task's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_sandbox.contract import WorkspaceAccess
from muxi_sandbox.docker.hardening import workspace_flags
from muxi_sandbox.docker.mounts import bind, mount_tmpfs, protect, unmount
from muxi_sandbox.docker.slots import remove_folders
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

    from muxi_sandbox.contract import Limits
    from muxi_sandbox.docker.slots import RunFolder, Slot

__all__ = ["HostWorkspaces"]


class HostWorkspaces:
    """Which tasks have one here. All calls are system calls on memory, so nothing is awaited."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._tasks: set[str] = set()

    @property
    def can_mount(self) -> bool:
        """Whether workspaces can be had here at all."""
        return self._run.can_mount

    @property
    def tasks(self) -> list[str]:
        """Tasks of this process that have a workspace."""
        return sorted(self._tasks)

    def folder(self, task: str) -> Path | None:
        """Where the host sees the task's files; `None` if it has none."""
        return self._run.tasks / task / "rw" if task in self._tasks else None

    def view(self, task: str, access: WorkspaceAccess, limits: Limits) -> tuple[Path, bool]:
        """Where to show it from, and whether it was made just now; its size is that of the first `limits`.

        Raises:
            SandboxError: it could not be mounted.
        """
        home = self._run.tasks / task
        is_new = task not in self._tasks
        if is_new:
            self._make(home, limits)
            self._tasks.add(task)
        return home / ("rw" if access is WorkspaceAccess.WRITE else "ro"), is_new

    def _make(self, home: Path, limits: Limits) -> None:
        # What an earlier process left under this name is not this task's.
        self._clear(home)
        try:
            # Another process of this installation removes the folders above when it leaves them empty.
            home.mkdir(mode=0o711, parents=True)
            for name in ("rw", "ro"):
                (home / name).mkdir(mode=0o700)
            mount_tmpfs(home / "rw", workspace_flags(limits), executable=True)
            bind(home / "rw", home / "ro")
            protect(home / "ro")
        except OSError as error:
            self._clear(home)
            raise SandboxError(f"The workspace of the task could not be mounted: {error}.") from error

    def adopt(self, task: str) -> bool:
        """Take over what an earlier process made for the task, if it is still mounted; whether it is."""
        home = self._run.tasks / task
        is_there = (home / "rw").is_mount() and (home / "ro").is_mount()
        if is_there:
            self._tasks.add(task)
        return is_there

    def require_shown(self, task: str, slot: Slot) -> None:
        """Demand that what the slot shows is this task's workspace, and nobody else's.

        Raises:
            SandboxError: it is not.
        """
        home = self.folder(task)
        try:
            same = home is not None and slot.workspace.stat().st_dev == home.stat().st_dev
        except OSError:
            same = False
        if not same:
            raise SandboxError(f"The sandbox does not show the workspace of task {task!r}; it is not used again.")

    def end(self, task: str) -> bool:
        """Take it away, also while it is used; whether there was one.

        Raises:
            SandboxError: it could not be unmounted.
        """
        if task not in self._tasks:
            return False
        self._tasks.discard(task)
        self._clear(self._run.tasks / task)
        return True

    def reap(self) -> int:
        """Take away what no task of this process holds; how many. Raises SandboxError as `end`."""
        try:
            left = [home for home in self._run.tasks.iterdir() if home.name not in self._tasks]
        except FileNotFoundError:
            return 0
        for home in left:
            self._clear(home)
        return len(left)

    @staticmethod
    def _clear(home: Path) -> None:
        try:
            for name in ("ro", "rw"):
                while unmount(home / name):
                    pass
        except OSError as error:
            # Not removed then: what is below it may still be somebody's files.
            raise SandboxError(f"{home} could not be unmounted: {error.strerror}.") from error
        remove_folders(home / "ro", home / "rw", home)
