"""One container from its options to its streams: made and examined, or found and examined, then attached to.

Above it: the backend, which says what is wanted, starts it, and ends it. Below it: the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from muxi_sandbox.contract import KeptSandbox, WorkspaceAccess
from muxi_sandbox.docker.attach import Attachment, attach
from muxi_sandbox.docker.hardening import (
    alarming,
    create_options,
    is_browser,
    labels_of,
    missing_defences,
    policies_mount,
    run_mount,
    slot_mount,
    volume_mount,
)
from muxi_sandbox.docker.kept import require_same
from muxi_sandbox.docker.prepared import PreparedContainer
from muxi_sandbox.docker.sandbox import ContainerSandbox
from muxi_sandbox.docker.seccomp import seccomp_profile
from muxi_sandbox.docker.slots import RunFolder, Slot, UnseenSlotError
from muxi_sandbox.docker.way_out import WayOut
from muxi_sandbox.egress.contract import Peer
from muxi_sandbox.errors import SpecRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from anyio.abc import TaskGroup

    from muxi_sandbox.contract import Spec
    from muxi_sandbox.docker.engine import Engine, Json
    from muxi_sandbox.docker.forwarding import Forwarder
    from muxi_sandbox.docker.host_workspaces import HostWorkspaces
    from muxi_sandbox.docker.settings import EngineSettings
    from muxi_sandbox.docker.volume_workspaces import VolumeWorkspaces
    from muxi_sandbox.docker.watch import EngineWatch
    from muxi_sandbox.egress.contract import Egress

__all__ = ["Containers", "Wanted"]

NOT_SEEN = "bind source path does not exist"
"""Of the engine's answer where it runs in another mount namespace or on another machine."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to become a container.

    Attributes:
        spec: without its task.
        task: for the label; empty if it is nobody's yet.
        slot: its folders on the host, `None` if it gets none.
        volume: of the workspace; empty where it is mounted into the slot.
        read_only: the place of the workspace: for one that appears later, or that may only be read.
        ending: whatever is opened for it is closed by this.
        remove: kills and removes it, by name.
        claimed: hears of its claim.
    """

    name: str
    spec: Spec
    task: str
    slot: Slot | None
    ending: AsyncExitStack
    remove: Callable[[str], Awaitable[None]]
    claimed: Callable[[KeptSandbox], None]
    volume: str = ""
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Containers:
    """Makes them, with everything that they share. `tasks` runs what reads their output and serves their way out."""

    settings: EngineSettings
    installation: str
    engine: Engine
    watch: EngineWatch
    run: RunFolder
    workspaces: HostWorkspaces
    volumes: VolumeWorkspaces
    forwarder: Forwarder
    egress: Egress
    tasks: TaskGroup

    async def create(self, wanted: Wanted) -> PreparedContainer:
        """A container that is not started yet: attached to first, so that no output is lost.

        Raises:
            SandboxError: it could not be made, or not with every defence.
            UnseenSlotError: what the host mounts does not reach the engine.
        """
        options = await self._options(wanted)
        wanted.ending.push_async_callback(wanted.remove, wanted.name)
        container, warnings = await self._create_seen(wanted.name, options)
        attachment = await attach(self.settings.socket, container)
        wanted.ending.callback(attachment.close)
        missing = missing_defences(options, await self.engine.inspect(container))
        _require_defences(container, alarming(warnings) + missing)
        return self._prepared(container, wanted, attachment)

    async def find(self, kept: KeptSandbox, wanted: Wanted) -> PreparedContainer:
        """The container that an earlier process left, examined like a new one, and running again.

        Raises:
            SandboxError: it is gone, or not as it was; removing what is left of it is the caller's.
        """
        options = await self._options(wanted)
        inspected = await self.engine.inspect(kept.id)
        require_same(kept, inspected, self.installation)
        _require_defences(kept.id, missing_defences(options, inspected))
        if wanted.slot is not None and wanted.spec.workspace is not WorkspaceAccess.NONE and not wanted.volume:
            self.workspaces.require_shown(wanted.task, wanted.slot)
        await self.engine.resume(kept.id)
        attachment = await attach(self.settings.socket, kept.id)
        wanted.ending.callback(attachment.close)
        prepared = self._prepared(kept.id, wanted, attachment)
        prepared.sandbox.assign(wanted.task)
        wanted.claimed(kept)
        if wanted.slot is not None and wanted.spec.network:
            wanted.slot.socket.unlink(missing_ok=True)  # nobody listens there any more
            peer = Peer(wanted.task, wanted.spec.server, kept.id, wanted.spec.network, wanted.spec.secrets)
            await self._serve(wanted.ending, wanted.slot, peer)
        return prepared

    async def _options(self, wanted: Wanted) -> Json:
        fitted, forwarder = await self.forwarder.fit(wanted.spec)
        return create_options(
            fitted,
            seccomp=seccomp_profile(wanted.spec.seccomp),
            labels=labels_of(self.installation, wanted.task, wanted.spec.server),
            mounts=[*_mounts(wanted), *forwarder],
            runtime=self.settings.runtime,
        )

    async def _create_seen(self, name: str, options: Json) -> tuple[str, list[str]]:
        try:
            return await self.engine.create(name, options)
        except SpecRefusedError as error:
            if self.run.can_mount and NOT_SEEN in str(error):
                raise UnseenSlotError(f"the engine does not see {self.run.folder}") from error
            raise

    def _prepared(self, container: str, wanted: Wanted, attachment: Attachment) -> PreparedContainer:
        """With the task that reads what it writes."""
        sandbox = ContainerSandbox(
            container,
            wanted.spec,
            attachment,
            engine=self.engine,
            watch=self.watch,
            settings=self.settings,
            workspace=self.workspaces.folder,
        )
        self.tasks.start_soon(sandbox.pump, partial(self.volumes.stopped_any, wanted.name))
        wanted.ending.push_async_callback(sandbox.close)

        def claimed(spec: Spec) -> None:
            wanted.claimed(KeptSandbox(wanted.name, container, spec, wanted.volume, wanted.read_only))

        serve = partial(self._serve, wanted.ending)
        return PreparedContainer(sandbox.stream, wanted.slot, self.workspaces, serve, claimed)

    async def _serve(self, ending: AsyncExitStack, slot: Slot, peer: Peer) -> None:
        way_out = WayOut(self.egress, slot.socket, peer)
        await self.tasks.start(way_out.run)
        ending.push_async_callback(way_out.close)


def _mounts(wanted: Wanted) -> list[Json]:
    mounts: list[Json] = []
    spec, slot = wanted.spec, wanted.slot
    if wanted.volume:
        mounts.append(volume_mount(wanted.volume, read_only=spec.workspace is not WorkspaceAccess.WRITE))
    elif slot is not None and spec.workspace is not WorkspaceAccess.NONE:
        mounts.append(slot_mount(slot.workspace, read_only=wanted.read_only))
    if slot is not None and spec.network:
        mounts.append(run_mount(slot.run))
        if spec.secrets and is_browser(spec):
            mounts.append(policies_mount(slot.policies))
    return mounts


def _require_defences(container: str, missing: list[str]) -> None:
    if missing:
        raise SpecRefusedError(
            f"The engine would run the sandbox without a defence: {'; '.join(missing)}. Nothing was started. "
            "See `muxi-runtime doctor`.",
            sandbox=container,
        )
