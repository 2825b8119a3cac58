"""The files of kept tasks, for when the machine was started anew: a workspace is memory, a snapshot is on the disk."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from anyio import to_thread

from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from muxi_sandbox.contract import Backend
    from muxi_sandbox.workspaces.snapshots import SnapshotStore

__all__ = ["KeptFiles"]

logger = logging.getLogger(__name__)

NOTE = "kept"
"""Marks the snapshots that are made here; those that people take are left alone."""


class KeptFiles:
    """One snapshot for each kept task, replaced by the next."""

    def __init__(self, backend: Backend, snapshots: SnapshotStore) -> None:
        self._backend = backend
        self._snapshots = snapshots

    async def take(self, task: str, principal: str, old: str | None) -> str | None:
        """The id of a new snapshot, or the old one's if none could be taken. Never raises: a task can do without."""
        try:
            snapshot, _ = await self._snapshots.take(self._backend.files(task), task, NOTE, principal=principal)
        except SandboxError as error:
            logger.info("no snapshot of the workspace of task %s: %s", task, error)
            return old
        if old is not None:
            await self.forget(old)
        return snapshot.id

    async def forget(self, snapshot: str) -> None:
        """Remove it; no error if it is gone."""
        try:
            found = await to_thread.run_sync(self._snapshots.find, snapshot)
        except SandboxError:
            return
        await to_thread.run_sync(self._snapshots.remove, found)

    async def bring_back(self, task: str, snapshot: str) -> str:
        """Put the files into the task's new workspace; a sentence for the caller. Never raises."""
        try:
            found = await to_thread.run_sync(self._snapshots.find, snapshot)
            report = await self._snapshots.restore(found, self._backend.files(task))
        except SandboxError as error:
            logger.warning("the files of task %s could not be brought back: %s", task, error)
            return f"Its files could not be brought back: {error}"
        return f"Its {report.files} files are as they were at {found.at}."
