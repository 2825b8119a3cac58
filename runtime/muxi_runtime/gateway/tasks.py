"""Tasks: the units of isolation, and the sandboxes that live and die with them.

Above: the door, which takes an upstream of a task for each call. Below: `owner.Owner`. Each sandbox has one
owner here, running in the registry's task group, which opens and closes it; callers only wait for it.
"""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

import anyio

from muxi_runtime.errors import JournalError, RefusedError, ServerError, UnknownTaskError
from muxi_runtime.gateway.kept import KeptTask, KeptTasks
from muxi_runtime.gateway.kept_files import KeptFiles
from muxi_runtime.gateway.owner import Owner
from muxi_runtime.gateway.task import Mark, Task
from muxi_runtime.gateway.use import Use
from muxi_runtime.journal.contract import Draft
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from muxi_runtime.gateway.caller import Origin
    from muxi_runtime.gateway.settings import GatewaySettings
    from muxi_runtime.identity.principal import Principal
    from muxi_runtime.journal.contract import Journal
    from muxi_sandbox.contract import Backend, KeptSandbox

__all__ = ["TaskRegistry"]

logger = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 60
"""How long all tasks together may take to end; what is left then is for the reaper."""


class TaskRegistry:
    """All open tasks. An async context manager: leaving it ends them, but for kept ones, which it leaves."""

    def __init__(
        self,
        *,
        backend: Backend,
        journal: Journal,
        settings: GatewaySettings,
        own: Callable[[str, str, KeptSandbox | None], Owner],
        kept: KeptTasks,
        kept_files: KeptFiles,
    ) -> None:
        """`own(task, server, survivor)` makes the owner of a sandbox, new or the survivor; it is not started yet."""
        self._kept = kept
        self._kept_files = kept_files
        self._backend = backend
        self._journal = journal
        self._settings = settings
        self._own = own
        self._tasks: dict[str, Task] = {}
        self._by_key: dict[tuple[Principal, str, str], Task] = {}
        self._ending: dict[str, Task] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        self._group.start_soon(self._end_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(SHUTDOWN_SECONDS, shield=True):
            async with anyio.create_task_group() as group:
                for task in list(self._tasks.values()):
                    group.start_soon(self._leave if task.kept else self._end_last, task)
        self._group.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)

    async def _end_last(self, task: Task) -> None:
        try:
            await self.end(task, "the runtime stops")
        except JournalError:
            # One that cannot be journalled must not keep the others from being ended.
            logger.exception("the end of task %s is not in the journal", task.id)

    async def _leave(self, task: Task) -> None:
        """Let go of a kept task so that the next runtime finds it: its sandboxes stand still meanwhile."""
        for owner in task.owners.values():
            await owner.rest(0)
        # The sandboxes stand still: what is kept is one moment's.
        await self._snap(task)
        self._backend.leave(task.id)
        await self._close(task, "the runtime stops; the task is kept")
        try:
            await self._journal.append(Draft("task.left", principal=str(task.principal), task=task.id))
        except JournalError:
            logger.exception("that task %s is kept is not in the journal", task.id)

    def restore(self, rows: Sequence[KeptTask]) -> None:
        """Open the tasks that an earlier runtime left. Their sandboxes are taken over when they are asked for."""
        for row in rows:
            now = time.monotonic()
            # A session ended with the runtime that it was with; a client is known by its name.
            key = row.selector if row.selector and row.selector[0] == "client" else None
            task = Task(row.id, row.principal, key, row.client, created_at=row.created_at, used_at=now, kept=True)
            task.survivors = {sandbox.spec.server: sandbox for sandbox in row.sandboxes}
            task.snapshot = row.snapshot
            task.labels = {label: Mark(*mark, is_told=True) for label, mark in row.labels.items()}
            self._tasks[task.id] = task
            if key is not None:
                self._by_key[(task.principal, *key)] = task

    async def keep(self, task: Task) -> None:
        """From now on the task survives the runtime, orderly stopped or killed.

        Raises:
            RefusedError: too many are kept.
        """
        limit = self._settings.max_kept_tasks
        if not task.kept and sum(other.kept for other in self._tasks.values()) >= limit:
            raise RefusedError(
                f"No further task can be kept: {limit} are.",
                remedy="Release one with `muxi-runtime tasks release`, or raise gateway.max_kept_tasks in muxi.yaml.",
            )
        task.kept = True
        await self._snap(task)
        await self._journal.append(Draft("task.kept", principal=str(task.principal), task=task.id))

    async def release(self, task: Task) -> None:
        """It ends with the runtime again, and when nobody uses it."""
        task.kept = False
        self._kept.remove(task.id)
        if task.snapshot is not None:
            await self._kept_files.forget(task.snapshot)
            task.snapshot = None
        await self._journal.append(Draft("task.released", principal=str(task.principal), task=task.id))

    async def _snap(self, task: Task) -> None:
        task.snapshot = await self._kept_files.take(task.id, str(task.principal), task.snapshot)
        self.save(task)

    def save(self, task: Task) -> None:
        """Write a kept task to the database; blocks."""
        held = {sandbox.spec.server: sandbox for sandbox in self._backend.sandboxes(task.id)}
        sandboxes = tuple({**task.survivors, **held}.values())
        # What is off by an approval is on again after a restart: the approval is about this task as it is now.
        marks = {**{label: lift.mark for label, lift in task.lifted.items()}, **task.labels}
        labels = {label: (mark.why, mark.source, mark.call, mark.at) for label, mark in marks.items()}
        self._kept.put(
            KeptTask(task.id, task.principal, task.client, task.key, task.created_at, sandboxes, task.snapshot, labels)
        )

    def all(self) -> list[Task]:
        """Open tasks, oldest first."""
        return list(self._tasks.values())

    def of(self, principal: Principal) -> list[Task]:
        """The principal's own open tasks."""
        return [task for task in self._tasks.values() if task.principal == principal]

    def principal_of(self, task_id: str) -> Principal | None:
        """Whose task it is, also while it is being ended; `None` for one that does not exist."""
        task = self.find(task_id)
        return task.principal if task else None

    def find(self, task_id: str) -> Task | None:
        """The task, also while it is being ended; whose it is the caller has to look at."""
        return self._tasks.get(task_id) or self._ending.get(task_id)

    def calls_of(self, task_id: str, server: str) -> list[str]:
        """The ids of the calls that the task's sandbox of that server works for now."""
        task = self.find(task_id)
        return sorted(filter(None, task.running.get(server, ()))) if task else []

    def named(self, task_id: str, principal: Principal) -> Task:
        """The principal's task of that id.

        Raises:
            UnknownTaskError: none, or somebody else's (which is not told).
        """
        task = self._tasks.get(task_id)
        if task is None or task.principal != principal:
            raise UnknownTaskError(
                f"You have no task {task_id[:80]!r}; it may have ended.",
                remedy="task_list shows yours, task_new makes one.",
            )
        task.principal = principal  # the same, with role and groups as they are now
        return task

    async def resolve(self, principal: Principal, origin: Origin) -> Task:
        """The task that a call belongs to: the one it names, its session's, or the default of its key and client.

        Raises:
            UnknownTaskError: it names one that is not the principal's.
            RefusedError: too many tasks are open.
        """
        if origin.task is not None:
            return self.named(origin.task, principal)
        known = self.known(principal, origin)
        if known is None:
            return await self.new(principal, client=origin.client, key=_key(origin))
        known.principal = principal
        return known

    def known(self, principal: Principal, origin: Origin) -> Task | None:
        """As `resolve`, of those that are open; `None` where there is none."""
        if origin.task is not None:
            task = self._tasks.get(origin.task)
            return task if task is not None and task.principal == principal else None
        return self._by_key.get((principal, *_key(origin)))

    async def new(self, principal: Principal, *, client: str = "", key: tuple[str, str] | None = None) -> Task:
        """Open a task.

        Raises:
            RefusedError: too many tasks are open.
        """
        self._check_room(principal)
        now = time.monotonic()
        task = Task(f"t-{secrets.token_hex(8)}", principal, key, client, created_at=time.time(), used_at=now)
        self._tasks[task.id] = task
        if key is not None:
            self._by_key[(principal, *key)] = task
        try:
            await self._journal.append(
                Draft("task.started", principal=str(principal), task=task.id, data={"client": client[:100]})
            )
        except JournalError:
            self._forget(task)
            raise
        return task

    def _check_room(self, principal: Principal) -> None:
        mine, limit = len(self.of(principal)), self._settings.max_tasks_per_principal
        if mine >= limit or len(self._tasks) >= self._settings.max_tasks:
            raise RefusedError(
                f"No further task can be opened: {mine} of yours and {len(self._tasks)} in all are open.",
                remedy="End one with task_end or `muxi-runtime tasks end`, or raise gateway.max_tasks in muxi.yaml.",
            )

    def use(self, task: Task, server: str, call: str = "") -> Use:
        """The task's session with a server, started if need be; the task does not idle out inside the block.

        `call` is the id of the call that it is for, if it is for one.

        Raises:
            UnknownTaskError: the task ended.
            SandboxError | ServerError: it could not be started.
        """
        return Use(self.ready_owner, task, server, call)

    async def ready_owner(self, task: Task, server: str) -> Owner:
        """One whose sandbox is there. What was lost on the way is noted for the caller."""
        is_known = server in task.owners and not task.owners[server].over
        survivor = task.survivors.get(server)
        owner = self._owner(task, server)
        try:
            await owner.upstream()
        except (SandboxError, ServerError) as error:
            if survivor is None:
                raise
            task.notes[server] = (
                f"The sandbox of server {server!r} that this task had before the runtime was restarted is lost "
                f"({error}). A new one runs. Programs and variables of the old one are gone."
            )
            task.survivors.pop(server, None)
            await self._tell_lost(task, server, str(error))
            owner = self._owner(task, server)
            await owner.upstream()
        if task.kept and not is_known:
            if owner.made_workspace and task.snapshot is not None:
                brought = await self._kept_files.bring_back(task.id, task.snapshot)
                task.notes[server] = f"{task.notes.get(server, '')} {brought}".strip()
            task.survivors.pop(server, None)
            self.save(task)
        return owner

    async def _tell_lost(self, task: Task, server: str, reason: str) -> None:
        data = {"server": server, "reason": reason[:500]}
        await self._journal.append(Draft("task.sandbox_lost", principal=str(task.principal), task=task.id, data=data))

    def close_reason(self, task: Task, server: str) -> str:
        """Why the sandbox behind a call was closed by us; empty if it was not."""
        owner = task.owners.get(server)
        return owner.close_reason if owner else ""

    def _owner(self, task: Task, server: str) -> Owner:
        if task.ended:
            raise UnknownTaskError(f"Task {task.id} has ended.", remedy="Call again: it will run in a new task.")
        owner = task.owners.get(server)
        if owner is None or owner.over:
            if owner is not None and owner.end_reason:
                task.notes[server] = (
                    f"The sandbox of server {server!r} that this task had before has ended: {owner.end_reason} "
                    "A new one runs. Programs and variables of the old one are gone."
                )
            owner = task.owners[server] = self._own(task.id, server, task.survivors.get(server))
            self._group.start_soon(owner.run)
        return owner

    async def end(self, task: Task, reason: str) -> None:
        """Kill the task's sandboxes and remove its workspace. Calls that still run fail with the reason."""
        if task.ended:
            return
        self._forget(task)
        if task.kept:
            await self.release(task)
        self._ending[task.id] = task
        try:
            await self._close(task, reason)
        finally:
            del self._ending[task.id]
        try:
            await self._backend.end_task(task.id)
        except SandboxError as error:
            logger.warning("the workspace of task %s is left for the reaper: %s", task.id, error)
        await self._journal.append(
            Draft("task.ended", principal=str(task.principal), task=task.id, data={"reason": reason})
        )

    async def _close(self, task: Task, reason: str) -> None:
        for owner in task.owners.values():
            owner.close(f"task {task.id} was ended: {reason}")
        for owner in task.owners.values():
            await owner.closed.wait()

    def _forget(self, task: Task) -> None:
        task.ended = True
        self._tasks.pop(task.id, None)
        if task.key is not None:
            self._by_key.pop((task.principal, *task.key), None)

    async def end_session(self, session: str) -> None:
        """End the task of a legacy session that its client closed."""
        for task in list(self._tasks.values()):
            if task.key == ("session", session) and not task.kept:
                await self.end(task, "its client closed the session")

    async def _end_idle(self) -> None:
        pause = self._settings.pause_idle_seconds
        shortest = min(self._settings.idle_task_seconds, pause or self._settings.idle_task_seconds)
        while True:
            await anyio.sleep(min(shortest / 4, 30))
            for task in list(self._tasks.values()):
                limit = self._settings.keep_idle_seconds if task.kept else self._settings.idle_task_seconds
                if task.idle_seconds > limit:
                    await self.end(task, f"idle for {limit:g} s")
                elif pause:
                    await self._rest(task, pause)

    async def _rest(self, task: Task, idle_seconds: float) -> None:
        for owner in list(task.owners.values()):
            try:
                await owner.rest(idle_seconds)
            except JournalError:
                logger.exception("a pause in task %s is not in the journal", task.id)


def _key(origin: Origin) -> tuple[str, str]:
    return ("session", origin.session) if origin.session else ("client", origin.client)
