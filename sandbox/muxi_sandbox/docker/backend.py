"""Sandboxes on a Docker engine.

    lease(spec)   ─▶ slot ─▶ create ─▶ attach ─▶ inspect ─▶ claim ─▶ start ─▶ the block ─▶ kill and remove
    prepare(spec) ─▶ slot ─▶ create ─▶ attach ─▶ inspect ─▶ start ─▶ the block, in it perhaps a claim ─▶ kill and remove

Attached before started, so that no output is lost; inspected before started, so that nothing runs without its defences.
A claim mounts the task's workspace into the slot and opens the way out. Where the host may not mount, a workspace is a
volume of the engine's, which a container can only have from the start.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from muxi_sandbox.contract import BackendHealth, KeptSandbox, Lease, WorkspaceAccess
from muxi_sandbox.docker.containers import Containers, Wanted
from muxi_sandbox.docker.engine import Engine
from muxi_sandbox.docker.forwarding import Forwarder
from muxi_sandbox.docker.hardening import is_browser
from muxi_sandbox.docker.health import examine
from muxi_sandbox.docker.host_workspaces import HostWorkspaces
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.reaper import reap
from muxi_sandbox.docker.slots import RunFolder, UnseenSlotError
from muxi_sandbox.docker.volume_workspaces import VolumeWorkspaces
from muxi_sandbox.docker.watch import EngineWatch
from muxi_sandbox.egress.contract import ClosedEgress
from muxi_sandbox.errors import SandboxError, SpecRefusedError, StartFailedError
from muxi_sandbox.workspaces.folder import FolderFiles
from muxi_sandbox.workspaces.remote import RemoteFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from muxi_sandbox.contract import Prepared, Spec
    from muxi_sandbox.docker.settings import EngineSettings
    from muxi_sandbox.docker.slots import Slot
    from muxi_sandbox.egress.contract import Egress
    from muxi_sandbox.workspaces.contract import WorkspaceFiles

__all__ = ["DockerBackend"]

log = logging.getLogger(__name__)
T = TypeVar("T")


class DockerBackend:
    """Sandboxes as hardened containers; see `contract.Backend`.

    Entering needs no engine: leases fail with `EngineUnavailableError` until one answers. `health` may be asked without
    entering.

    Args:
        settings: which engine.
        installation: tells this installation's containers from others' on the same engine; letters, digits, `-`.
        egress: gives sandboxes that name hosts their way out; without it they are refused.
    """

    def __init__(self, settings: EngineSettings, installation: str, *, egress: Egress | None = None) -> None:
        self._settings = settings
        self._installation = installation
        self._prefix = f"muxi-{installation}-"
        self._engine = Engine(settings)
        self._watch = EngineWatch(settings.socket, self._sweep_soon)
        self._run = RunFolder(settings.run_root, installation)
        self._workspaces = HostWorkspaces(self._run)
        self._volumes = VolumeWorkspaces(self._engine, installation)
        self._egress = egress or ClosedEgress()
        self._forwarder = Forwarder(self._engine, settings, installation)
        self._held: set[str] = set()
        """Names of containers that a lease holds or is about to."""
        self._doubtful: set[str] = set()
        """Names of containers whose removal failed."""
        self._open: dict[str, AsyncExitStack] = {}
        self._claimed: dict[str, KeptSandbox] = {}
        """Of tasks, by the container's name."""
        self._left: set[str] = set()
        """Tasks of which everything stays when it is let go."""
        self._spared: dict[str, set[str]] = {}
        """By task that an earlier process left: names of its containers that were not taken over yet."""
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._run.open(may_mount=self._settings.mounts)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._containers = Containers(
            self._settings,
            self._installation,
            self._engine,
            self._watch,
            self._run,
            self._workspaces,
            self._volumes,
            self._forwarder,
            self._egress,
            self._tasks,
        )
        self._tasks.start_soon(self._watch.run)
        self._tasks.start_soon(self._sweep_again)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._end_everything()
        self._tasks.cancel_scope.cancel()
        try:
            # Without the block's own exception, which would come out wrapped in a group.
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._run.close()
            await self._engine.close()

    async def _end_everything(self) -> None:
        async with anyio.create_task_group() as group:
            for name in list(self._open):
                group.start_soon(self._end, name)
        async with anyio.create_task_group() as group:
            # What was spared is ended by name only: this process may end before anybody could ask for it.
            for task in {*self._workspaces.tasks, *self._volumes.tasks} - self._left - self._spared.keys():
                group.start_soon(self._end_quietly, task)
        await self._forwarder.close()

    async def _end_quietly(self, task: str) -> None:
        try:
            await self.end_task(task)
        except SandboxError as error:
            log.warning("%s The next start will remove it.", error)

    @asynccontextmanager
    async def lease(self, spec: Spec) -> AsyncIterator[Lease]:
        """See `contract.Backend.lease`."""
        if spec.task is None:
            raise ValueError("a lease is for a task: the spec names none")
        async with self._sandbox() as name:
            opened = await self._in_time(spec, partial(self._lease, name, spec, spec.task))
            yield opened

    @asynccontextmanager
    async def prepare(self, spec: Spec) -> AsyncIterator[Prepared]:
        """See `contract.Backend.prepare`."""
        async with self._sandbox() as name:
            yield await self._in_time(spec, partial(self._prepare, name, spec.model_copy(update={"task": None})))

    def can_prepare(self, spec: Spec) -> bool:
        """See `contract.Backend.can_prepare`."""
        return spec.workspace is WorkspaceAccess.NONE or self._run.can_mount

    def sandboxes(self, task: str) -> tuple[KeptSandbox, ...]:
        """See `contract.Backend.sandboxes`."""
        return tuple(claimed for claimed in self._claimed.values() if claimed.spec.task == task)

    def leave(self, task: str) -> None:
        """See `contract.Backend.leave`."""
        self._left.add(task)

    def spare(self, task: str, kept: Sequence[KeptSandbox]) -> None:
        """See `contract.Backend.spare`."""
        self._held.update(one.name for one in kept)
        self._spared[task] = {one.name for one in kept}
        self._volumes.adopt(task, next((one.volume for one in kept if one.volume), ""))
        self._workspaces.adopt(task)

    @asynccontextmanager
    async def adopt(self, kept: KeptSandbox) -> AsyncIterator[Lease]:
        """See `contract.Backend.adopt`."""
        task = kept.spec.task
        if task is None:
            raise ValueError("only what a task has can be adopted")
        if not kept.name.startswith(self._prefix):
            # Not even to be removed.
            raise SpecRefusedError(f"Container {kept.name} is not one of this installation's.", sandbox=kept.id)
        self._spared.get(task, set()).discard(kept.name)
        async with self._sandbox(kept.name):
            unclaimed = kept.spec.model_copy(update={"task": None})
            wanted = self._wanted(kept.name, unclaimed, task, volume=kept.volume, read_only=kept.read_only)
            # First of all: an engine that does not answer now must not keep what nobody will ask for again.
            wanted.ending.push_async_callback(wanted.remove, wanted.name)
            yield await self._in_time(kept.spec, partial(self._adopt, kept, wanted))

    async def _adopt(self, kept: KeptSandbox, wanted: Wanted) -> Lease:
        prepared = await self._containers.find(kept, wanted)
        if kept.volume:
            self._volumes.started(wanted.task, kept.name)
        return Lease(prepared.sandbox, workspace_is_new=False)

    @asynccontextmanager
    async def _sandbox(self, name: str = "") -> AsyncIterator[str]:
        """The name of a container to be, known to the reaper; what its set-up puts into `_open` ends with it."""
        name = name or f"{self._prefix}{secrets.token_hex(8)}"
        self._open[name] = AsyncExitStack()
        self._held.add(name)
        self._open[name].callback(self._forget, name)
        try:
            yield name
        finally:
            await self._end(name)

    async def _in_time(self, spec: Spec, open_it: Callable[[], Awaitable[T]]) -> T:
        try:
            with anyio.fail_after(spec.limits.start_seconds):
                await self._watch.ready(self._settings.restart_grace_seconds)
                try:
                    return await open_it()
                except UnseenSlotError as error:
                    self._run.forbid(str(error))
                    log.warning("nothing is mounted from now on: %s", error)
                    return await open_it()
        except TimeoutError:
            raise StartFailedError(
                f"The sandbox of server {spec.server!r} was not up within {spec.limits.start_seconds:g} s. The machine "
                "may be overloaded; or raise the server's limit start_seconds."
            ) from None

    async def _lease(self, name: str, spec: Spec, task: str) -> Lease:
        unclaimed = spec.model_copy(update={"task": None})
        if spec.workspace is WorkspaceAccess.NONE or self._run.can_mount:
            is_writable = spec.workspace is WorkspaceAccess.WRITE
            wanted = self._wanted(name, unclaimed, task, read_only=not is_writable)
            prepared = await self._containers.create(wanted)
            # Before the start: the program's working folder is the workspace.
            lease = await prepared.claim(task)
            await self._engine.start(prepared.sandbox.id)
            return lease
        return await self._lease_with_volume(name, unclaimed, task)

    async def _lease_with_volume(self, name: str, spec: Spec, task: str) -> Lease:
        volume = await self._volumes.volume(task, spec.limits)
        prepared = await self._containers.create(self._wanted(name, spec, task, volume=volume))
        stopped = partial(self._volumes.stopped, task, name)
        self._open[name].callback(stopped)
        holders = self._volumes.holders(task)
        lease = await prepared.claim(task)
        await self._engine.start(prepared.sandbox.id)
        self._volumes.started(task, name)
        return Lease(lease.sandbox, workspace_is_new=not (holders & self._volumes.holders(task)))

    async def _prepare(self, name: str, spec: Spec) -> Prepared:
        if not self.can_prepare(spec):
            raise SpecRefusedError(
                f"A sandbox of server {spec.server!r} cannot be made ahead of its task: this host may not mount its "
                f"workspace later ({self._run.why_not}). See `muxi-runtime doctor`."
            )
        prepared = await self._containers.create(self._wanted(name, spec, ""))
        await self._engine.start(prepared.sandbox.id)
        return prepared

    def _wanted(self, name: str, spec: Spec, task: str, *, volume: str = "", read_only: bool = True) -> Wanted:
        """With a slot if the spec needs one, gone with the container."""
        slot = None
        if (spec.workspace is not WorkspaceAccess.NONE and not volume) or spec.network:
            slot = self._run.slot(name, with_socket=bool(spec.network))
            self._open[name].callback(self._remove_slot, name, slot)
            if spec.secrets:
                slot.give(self._egress.certificate(), to_browser=is_browser(spec))

        def claimed(kept: KeptSandbox) -> None:
            self._claimed[name] = kept

        return Wanted(
            name,
            spec,
            task,
            slot,
            ending=self._open[name],
            remove=self._remove,
            claimed=claimed,
            volume=volume,
            read_only=read_only,
        )

    def _remove_slot(self, name: str, slot: Slot) -> None:
        if not self._stays(name):
            slot.remove()

    def _stays(self, name: str) -> bool:
        claimed = self._claimed.get(name)
        return claimed is not None and claimed.spec.task in self._left

    def _forget(self, name: str) -> None:
        if not self._stays(name):
            self._held.discard(name)
        self._claimed.pop(name, None)

    async def _end(self, name: str) -> None:
        ending = self._open.pop(name, None)
        if ending is not None:
            with anyio.CancelScope(shield=True):
                await ending.aclose()

    async def _remove(self, name: str) -> None:
        if self._stays(name):
            return
        try:
            with anyio.fail_after(self._settings.remove_seconds):
                await self._engine.remove(name)
        except (SandboxError, TimeoutError) as error:
            self._doubtful.add(name)
            log.warning("container %s could not be removed: %s", name, error)

    async def _sweep_again(self) -> None:
        """What could not be removed is tried again, for ever."""
        while True:
            await anyio.sleep(self._settings.remove_seconds)
            self._sweep_soon()

    def _sweep_soon(self) -> None:
        """The engine is back: what could not be removed before can be now."""
        names, self._doubtful = self._doubtful, set()
        for name in names:
            self._tasks.start_soon(self._remove, name)

    async def image_id(self, image: str) -> str:
        """See `contract.Backend.image_id`."""
        return str((await self._engine.image(image))["Id"])

    def files(self, task: str) -> WorkspaceFiles:
        """See `contract.Backend.files`."""
        if self._run.can_mount:
            return FolderFiles(partial(self._workspaces.folder, task))
        return RemoteFiles(task, self.lease, self._python, partial(self._volumes.size_mib, task))

    async def _python(self) -> str | None:
        async with ImageStore(self._settings) as images:
            return await images.find("python")

    async def end_task(self, task: str) -> None:
        """See `contract.Backend.end_task`."""
        for name in self._spared.pop(task, ()):
            async with self._sandbox(name):
                self._open[name].callback(self._run.existing_slot(name).remove)
                self._open[name].push_async_callback(self._remove, name)
        self._workspaces.end(task)
        await self._volumes.end(task)

    async def reap(self) -> int:
        """See `contract.Backend.reap`."""
        count = await reap(self._engine, self._installation, lambda: self._held, lambda: self._volumes.volumes)
        for slot in self._run.leftover_slots(self._held):
            slot.remove()
        return count + self._workspaces.reap()

    async def health(self) -> BackendHealth:
        """See `contract.Backend.health`."""
        found = await examine(self._engine, self._settings)
        if not found.ok:
            return found
        mounts = self._run.check(may_mount=self._settings.mounts)
        return replace(found, checks=(*found.checks, mounts, await self._forwarder.check()))
