"""A container that runs for nobody yet, and its claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_sandbox.contract import Lease, WorkspaceAccess
from muxi_sandbox.egress.contract import Peer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from muxi_sandbox.contract import Spec
    from muxi_sandbox.docker.host_workspaces import HostWorkspaces
    from muxi_sandbox.docker.slots import Slot
    from muxi_sandbox.stream import StreamSandbox

__all__ = ["PreparedContainer"]


class PreparedContainer:
    """See `contract.Prepared`. Also claimed so, before it is started, is a container that is made for a task."""

    def __init__(
        self,
        sandbox: StreamSandbox,
        slot: Slot | None,
        workspaces: HostWorkspaces,
        serve: Callable[[Slot, Peer], Awaitable[None]],
        claimed: Callable[[Spec], None],
    ) -> None:
        """`slot` is `None` for a container that gets nothing of the host. `serve` starts its way out.

        `claimed` hears of the claim, with the spec as it is then.
        """
        self._sandbox = sandbox
        self._slot = slot
        self._workspaces = workspaces
        self._serve = serve
        self._claimed = claimed

    @property
    def sandbox(self) -> StreamSandbox:
        """See `contract.Prepared.sandbox`."""
        return self._sandbox

    @property
    def slot(self) -> Slot | None:
        """Its folders on the host."""
        return self._slot

    async def claim(self, task: str) -> Lease:
        """See `contract.Prepared.claim`."""
        self._sandbox.assign(task)
        spec = self._sandbox.spec
        self._claimed(spec)
        is_new = False
        if self._slot is not None:
            if spec.workspace is not WorkspaceAccess.NONE and self._workspaces.can_mount:
                view, is_new = self._workspaces.view(task, spec.workspace, spec.limits)
                self._slot.show(view)
            if spec.network:
                await self._serve(self._slot, Peer(task, spec.server, self._sandbox.id, spec.network, spec.secrets))
        return Lease(self._sandbox, workspace_is_new=is_new)
