"""A task's session with a server, for as long as one call uses it. Above: `tasks`. Below: the task, and `owner`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from muxi_runtime.gateway.owner import Owner
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.upstream import Upstream

__all__ = ["Use"]


class Use:
    """An async context manager, and no generator, which would cost more in each call."""

    __slots__ = ("_call", "_owner", "_ready", "_server", "_task")

    def __init__(self, ready: Callable[[Task, str], Awaitable[Owner]], task: Task, server: str, call: str) -> None:
        self._ready = ready
        self._task = task
        self._server = server
        self._call = call
        self._owner: Owner | None = None

    async def __aenter__(self) -> Upstream:
        """See `TaskRegistry.use`."""
        task, server = self._task, self._server
        task.begin_use(server, self._call)
        try:
            owner = await self._ready(task, server)
            self._owner = owner
            upstream = await owner.begin_use()
            watches = task.watches.get(server)
            if watches is None or not watches.uris:
                task.watches[server] = upstream.watches
            elif watches is not upstream.watches:
                await upstream.watch_again(watches)
        except BaseException:
            self._end()
            raise
        return upstream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The call is over."""
        self._end()

    def _end(self) -> None:
        if self._owner is not None:
            self._owner.end_use()
        self._task.end_use(self._server, self._call)
