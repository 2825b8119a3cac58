"""Workspaces that the host mounts itself: they live from a task's first sandbox to the task's end."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from muxi_sandbox.contract import WorkspaceAccess
from muxi_sandbox.docker.hardening import workspace_flags
from muxi_sandbox.docker.mounts import bind, mount_tmpfs, protect, unmount
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

    from muxi_sandbox.contract import Limits
    from muxi_sandbox.docker.slots import RunFolder

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
            home.mkdir(mode=0o711)
            for name in ("rw", "ro"):
                (home / name).mkdir(mode=0o700)
            mount_tmpfs(home / "rw", workspace_flags(limits), executable=True)
            bind(home / "rw", home / "ro")
            protect(home / "ro")
        except OSError as error:
            self._clear(home)
            raise SandboxError(f"The workspace of the task could not be mounted: {error}.") from error

    def adopt(self, task: str) -> None:
        """A workspace that an earlier process made, and that is still mounted, is this task's.

        Raises:
            SandboxError: there is none.
        """
        if not (self._run.tasks / task / "rw").is_mount() or not (self._run.tasks / task / "ro").is_mount():
            raise SandboxError(f"The workspace of task {task!r} is not mounted any more.")
        self._tasks.add(task)

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
        shutil.rmtree(home, ignore_errors=True)
