"""Leases on a Docker engine.

    lease(spec) ─▶ the task's workspace volume ─▶ create ─▶ attach ─▶ inspect ─▶ start ─▶ the block ─▶ kill and remove

Attached before started, so that no output is lost; inspected before started, so that nothing runs without its defences.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.contract import BackendHealth, Lease
from muxi_sandbox.docker.attach import attach
from muxi_sandbox.docker.engine import Engine
from muxi_sandbox.docker.forwarding import Forwarder
from muxi_sandbox.docker.hardening import alarming, create_options, labels_of, missing_defences
from muxi_sandbox.docker.health import examine
from muxi_sandbox.docker.reaper import reap
from muxi_sandbox.docker.sandbox import ContainerSandbox
from muxi_sandbox.docker.seccomp import seccomp_profile
from muxi_sandbox.docker.watch import EngineWatch
from muxi_sandbox.docker.workspaces import Workspaces
from muxi_sandbox.errors import SandboxError, SpecRefusedError, StartFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from muxi_sandbox.contract import Spec
    from muxi_sandbox.docker.engine import Json
    from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["DockerBackend"]

log = logging.getLogger(__name__)


class DockerBackend:
    """Sandboxes as hardened containers; see `contract.Backend`.

    Entering needs no engine: leases fail with `EngineUnavailableError` until one answers. `health` may be asked without
    entering.

    Args:
        settings: which engine.
        installation: tells this installation's containers from others' on the same engine; letters, digits, `-`.
    """

    def __init__(self, settings: EngineSettings, installation: str) -> None:
        self._settings = settings
        self._installation = installation
        self._engine = Engine(settings)
        self._watch = EngineWatch(settings.socket, self._sweep_soon)
        self._workspaces = Workspaces(self._engine, installation)
        self._forwarder = Forwarder(self._engine, settings, installation)
        self._held: set[str] = set()
        """Names of containers that a lease holds or is about to."""
        self._doubtful: set[str] = set()
        """Names of containers whose removal failed."""
        self._open: dict[str, AsyncExitStack] = {}
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._watch.run)
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
            await self._engine.close()

    async def _end_everything(self) -> None:
        async with anyio.create_task_group() as group:
            for name in list(self._open):
                group.start_soon(self._end, name)
        async with anyio.create_task_group() as group:
            for task in self._workspaces.tasks:
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
        name = f"muxi-{self._installation}-{secrets.token_hex(8)}"
        try:
            yield await self._begin(name, spec)
        finally:
            await self._end(name)

    async def _begin(self, name: str, spec: Spec) -> Lease:
        ending = self._open[name] = AsyncExitStack()
        self._held.add(name)
        ending.callback(self._held.discard, name)
        try:
            with anyio.fail_after(spec.limits.start_seconds):
                return await self._set_up(name, spec, ending)
        except TimeoutError:
            raise StartFailedError(
                f"The sandbox of server {spec.server!r} was not up within {spec.limits.start_seconds:g} s. The machine "
                "may be overloaded; or raise the server's limit start_seconds."
            ) from None

    async def _set_up(self, name: str, spec: Spec, ending: AsyncExitStack) -> Lease:
        await self._watch.ready(self._settings.restart_grace_seconds)
        volume = await self._workspaces.volume(spec)
        fitted, mounts = await self._forwarder.fit(spec)
        options = create_options(
            fitted,
            seccomp=seccomp_profile(spec.seccomp),
            labels=labels_of(self._installation, spec.task, spec.server),
            volume=volume,
            runtime=self._settings.runtime,
            mounts=mounts,
        )
        ending.push_async_callback(self._remove, name)
        container, warnings = await self._engine.create(name, options)
        attachment = await attach(self._settings.socket, container)
        ending.callback(attachment.close)
        await self._prove(container, options, alarming(warnings))
        sandbox = ContainerSandbox(
            container, spec, attachment, engine=self._engine, watch=self._watch, settings=self._settings
        )
        stopped = partial(self._workspaces.stopped, spec.task, name)
        ending.callback(stopped)
        self._tasks.start_soon(sandbox.pump, stopped)
        ending.push_async_callback(sandbox.close)
        holders = self._workspaces.holders(spec.task)
        await self._engine.start(container)
        self._workspaces.started(spec.task, name)
        is_new = volume is not None and not (holders & self._workspaces.holders(spec.task))
        return Lease(sandbox.stream, workspace_is_new=is_new)

    async def _prove(self, container: str, options: Json, warnings: list[str]) -> None:
        missing = warnings + missing_defences(options, await self._engine.inspect(container))
        if missing:
            raise SpecRefusedError(
                f"The engine would run the sandbox without a defence: {'; '.join(missing)}. Nothing was started. "
                "See `muxi-runtime doctor`.",
                sandbox=container,
            )

    async def _end(self, name: str) -> None:
        ending = self._open.pop(name, None)
        if ending is not None:
            with anyio.CancelScope(shield=True):
                await ending.aclose()

    async def _remove(self, name: str) -> None:
        try:
            with anyio.fail_after(self._settings.remove_seconds):
                await self._engine.remove(name)
        except (SandboxError, TimeoutError) as error:
            self._doubtful.add(name)
            log.warning("container %s could not be removed: %s", name, error)

    def _sweep_soon(self) -> None:
        """The engine is back: what could not be removed before can be now."""
        names, self._doubtful = self._doubtful, set()
        for name in names:
            self._tasks.start_soon(self._remove, name)

    async def end_task(self, task: str) -> None:
        """See `contract.Backend.end_task`."""
        await self._workspaces.end(task)

    async def reap(self) -> int:
        """See `contract.Backend.reap`."""
        return await reap(self._engine, self._installation, lambda: self._held, lambda: self._workspaces.volumes)

    async def health(self) -> BackendHealth:
        """See `contract.Backend.health`."""
        return await examine(self._engine, self._settings)
