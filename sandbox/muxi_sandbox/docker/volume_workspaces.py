"""Workspaces where the host may not mount: one tmpfs volume of the engine for each task, shared by its sandboxes.

The engine mounts such a volume with the first running container that uses it and unmounts it with the last, so a
workspace lives as long as one of its task's sandboxes runs. See docs/decisions/0002-tmpfs-volume-workspace.md.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.docker.hardening import labels_of, workspace_options
from muxi_sandbox.errors import EngineUnavailableError, SandboxError

if TYPE_CHECKING:
    from muxi_sandbox.contract import Limits
    from muxi_sandbox.docker.engine import Engine

__all__ = ["VolumeWorkspaces"]

ADOPTED_MIB = 16 * 1024
"""For one of an earlier process, which took its size along."""


@dataclass(slots=True)
class _Workspace:
    volume: str
    size_mib: int
    created: bool = False
    creating: anyio.Lock = field(default_factory=anyio.Lock)
    running: set[str] = field(default_factory=set)
    """Names of the containers that keep it mounted."""


class VolumeWorkspaces:
    """Which task has which volume, and whether something still holds its contents."""

    def __init__(self, engine: Engine, installation: str) -> None:
        self._engine = engine
        self._installation = installation
        self._of_task: dict[str, _Workspace] = {}

    @property
    def volumes(self) -> set[str]:
        """Names of the volumes that this process's tasks hold."""
        return {workspace.volume for workspace in self._of_task.values()}

    @property
    def tasks(self) -> list[str]:
        """Tasks that have a workspace."""
        return list(self._of_task)

    async def volume(self, task: str, limits: Limits) -> str:
        """The name of the task's volume, created at the first call; its size is that of the first `limits`.

        Raises:
            SandboxError: the engine could not create it.
        """
        workspace = self._of_task.get(task)
        if workspace is None:
            # A name that was never used: what an earlier process left under it cannot be seen by this task.
            name = f"muxi-{self._installation}-{task}-{secrets.token_hex(6)}"
            workspace = self._of_task[task] = _Workspace(name, limits.workspace_mib)
        async with workspace.creating:
            if not workspace.created:
                labels = labels_of(self._installation, task)
                await self._engine.create_volume(workspace.volume, workspace_options(limits), labels)
                workspace.created = True
        return workspace.volume

    def holders(self, task: str) -> frozenset[str]:
        """Containers that keep the task's workspace alive now."""
        workspace = self._of_task.get(task)
        return frozenset(workspace.running) if workspace else frozenset()

    def size_mib(self, task: str) -> int | None:
        """Its size, or a bound of it; `None` while nothing holds it."""
        workspace = self._of_task.get(task)
        return workspace.size_mib if workspace and workspace.running else None

    def started(self, task: str, container: str) -> None:
        """The container has the workspace mounted."""
        if task in self._of_task:
            self._of_task[task].running.add(container)

    def stopped(self, task: str, container: str) -> None:
        """The container does not hold it any more."""
        if task in self._of_task:
            self._of_task[task].running.discard(container)

    def stopped_any(self, container: str) -> None:
        """The container does not hold any task's workspace any more."""
        for workspace in self._of_task.values():
            workspace.running.discard(container)

    def adopt(self, task: str, volume: str) -> None:
        """An earlier process made this volume for the task; none if empty."""
        if volume:
            self._of_task[task] = _Workspace(volume, ADOPTED_MIB, created=True)

    async def end(self, task: str) -> None:
        """Remove the task's workspace. No error if there is none.

        Raises:
            SandboxError: a sandbox still uses it, or the engine does not answer; `reap` will remove it.
        """
        workspace = self._of_task.pop(task, None)
        if workspace is None:
            return
        try:
            await self._engine.remove_volume(workspace.volume)
        except EngineUnavailableError:
            raise
        except SandboxError as error:
            raise SandboxError(
                f"The workspace of task {task!r} could not be removed, most likely since a sandbox still uses it. "
                "End its leases first."
            ) from error
