"""The owner of one sandbox: the one task that opens its upstream, keeps it, and closes it.

`mcp.Client` and leases must be entered and left in one and the same task, so that task is here and everyone else waits
for what it holds.
"""

from __future__ import annotations

import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from muxi_runtime.errors import MuxiError, ServerError
from muxi_runtime.journal.contract import Draft
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from muxi_runtime.gateway.upstream import Upstream
    from muxi_runtime.journal.contract import Journal
    from muxi_sandbox.contract import Sandbox, Spec
    from muxi_sandbox.pool.pool import Leased

__all__ = ["Owner"]

logger = logging.getLogger(__name__)

RESUME_SECONDS = 10
"""How long the engine may take to let a sandbox go on, even if whoever waited has gone."""


class Owner:
    """Holds one upstream from `run` until `close`, or until its sandbox ends.

    Attributes:
        over: whether it will never (again) give an upstream; a new owner is needed.
        closed: set when its sandbox is gone.
        error: why there is no upstream.
        paused: whether its sandbox stands still.
        made_workspace: whether the task had no workspace before.
    """

    def __init__(
        self,
        *,
        lease: Callable[[Spec], AbstractAsyncContextManager[Leased[Upstream]]],
        journal: Journal,
        spec: Spec | SandboxError | MuxiError,
        may_pause: bool,
        on_list_changed: Callable[[Upstream, str], Awaitable[None]],
        before_use: Callable[[Upstream], Awaitable[None]] | None = None,
    ) -> None:
        """`lease` gives the sandbox: from the pool, or one that an earlier runtime left.

        `spec` may be the reason why there is none: it is raised to whoever asks for the upstream.
        """
        self._lease = lease
        self._may_pause = may_pause
        self._switching = anyio.Lock()
        self._calls = 0
        self._used_at = time.monotonic()
        self._journal = journal
        self._spec = spec
        self._on_list_changed = on_list_changed
        self._before_use = before_use
        self._upstream: Upstream | None = None
        self._decided = anyio.Event()
        self._closing = anyio.Event()
        self._close_reason = ""
        self.error: Exception | None = None
        self.over = False
        self.paused = False
        self.made_workspace = False
        self.closed = anyio.Event()

    @property
    def sandbox(self) -> str | None:
        """The id of the running sandbox."""
        return self._upstream.sandbox.id if self._upstream and not self.over else None

    @property
    def stderr_tail(self) -> str:
        """The end of what its server wrote to standard error; empty where there is no sandbox."""
        return self._upstream.sandbox.stderr_tail() if self._upstream else ""

    async def upstream(self) -> Upstream:
        """The upstream, once it is there.

        Raises:
            SandboxError | ServerError | ConfigError: it could not be started.
        """
        if not self._decided.is_set():  # waiting for what is there costs a turn of the event loop
            await self._decided.wait()
        if self._upstream is None:
            raise self.error or ServerError("The sandbox was closed before it was ready.")
        return self._upstream

    @property
    def is_up(self) -> bool:
        """Whether it holds an upstream now."""
        return self._upstream is not None and not self.over

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Upstream]:
        """The upstream, awake for as long as the block runs.

        Raises:
            as `begin_use`.
        """
        try:
            yield await self.begin_use()
        finally:
            self.end_use()

    async def begin_use(self) -> Upstream:
        """The upstream for one call, awake until `end_use`, which must be called whatever comes of this.

        Raises:
            SandboxError | ServerError | ConfigError: it could not be started, or woken.
        """
        self._calls += 1
        upstream = await self.upstream()
        await self._wake(upstream)
        if self._before_use is not None:
            await self._before_use(upstream)
        return upstream

    def end_use(self) -> None:
        """The call is over."""
        self._calls -= 1
        self._used_at = time.monotonic()

    async def _wake(self, upstream: Upstream) -> None:
        if not self.paused and not self._switching.locked():
            return
        async with self._switching:
            if self.paused:
                await upstream.sandbox.resume()
                self.paused = False
                await self._tell("sandbox.resumed", upstream.sandbox)

    async def rest(self, idle_seconds: float) -> None:
        """Pause the sandbox if nobody has used it for so long. Never raises: it runs on then."""
        upstream = self._upstream
        if upstream is None or not self._may_rest(idle_seconds):
            return
        async with self._switching:
            # Somebody may have come while another one switched.
            if not self._may_rest(idle_seconds):
                return
            try:
                await upstream.sandbox.pause()
            except SandboxError as error:
                logger.warning("a sandbox of %s could not be paused: %s", upstream.name, error)
                return
            self.paused = True
        await self._tell("sandbox.paused", upstream.sandbox)

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Its programs stand still for the block, also in mid-call. One that cannot be paused runs on."""
        upstream = self._upstream
        if upstream is None or self.over:
            yield
            return
        async with self._switching:
            was_paused = self.paused
            try:
                if not was_paused:
                    await upstream.sandbox.pause()
            except SandboxError as error:
                logger.warning("a sandbox of %s could not be paused: %s", upstream.name, error)
            try:
                yield
            finally:
                if not was_paused:
                    with anyio.move_on_after(RESUME_SECONDS, shield=True):
                        await upstream.sandbox.resume()

    def _may_rest(self, idle_seconds: float) -> bool:
        is_watched = self._upstream is not None and bool(self._upstream.watches.uris)
        is_idle = not self._calls and not is_watched and time.monotonic() - self._used_at >= idle_seconds
        return is_idle and self._may_pause and not self.paused and not self.over

    @property
    def end_reason(self) -> str:
        """Why its sandbox ended by itself; empty if it did not."""
        failure = self._upstream.failure if self._upstream else None
        return str(failure) if failure and not self._close_reason else ""

    @property
    def close_reason(self) -> str:
        """Why it was asked to close; empty if it was not."""
        return self._close_reason

    def close(self, reason: str) -> None:
        """Ask it to end; `closed` tells when it has."""
        self.over = True
        self._close_reason = reason
        self._closing.set()

    async def run(self) -> None:
        """Open, hold, close. Never raises but for cancellation: what went wrong is in `error`."""
        try:
            await self._hold()
        except (SandboxError, MuxiError) as error:
            self.error = error
        except Exception as error:  # the boundary between one sandbox and all others: a fault of ours stays here
            logger.exception("the owner of a sandbox failed")
            self.error = ServerError(f"The runtime failed to hold this sandbox ({type(error).__name__}); see its log.")
        finally:
            self.over = True
            self._decided.set()
            self.closed.set()

    async def _hold(self) -> None:
        if isinstance(self._spec, Exception):
            raise self._spec
        if self._closing.is_set():
            return
        started = time.monotonic()
        async with self._lease(self._spec) as leased:
            upstream = leased.session
            upstream.on_list_changed = self._list_changed
            sandbox = upstream.sandbox
            await self._tell(
                "sandbox.leased",
                sandbox,
                image=self._spec.image,
                network=list(self._spec.network),
                workspace_is_new=leased.lease.workspace_is_new,
                warm=leased.was_warm,
                seconds=_since(started),
            )
            self.made_workspace = leased.lease.workspace_is_new
            self._upstream = upstream
            self._decided.set()
            await self._until_over(upstream)
        reason = str(upstream.failure) if upstream.failure else self._close_reason
        if self.end_reason:
            # What comes after it is watched again, but is not what was: whoever reads now gets that.
            upstream.watches.tell_all()
        await self._tell("sandbox.ended", sandbox, reason=reason[:500], seconds=_since(started))

    async def _until_over(self, upstream: Upstream) -> None:
        async with anyio.create_task_group() as group:

            async def wait_for(event: anyio.Event) -> None:
                await event.wait()
                group.cancel_scope.cancel()

            group.start_soon(wait_for, self._closing)
            group.start_soon(wait_for, upstream.ended)
        self.over = True

    async def _list_changed(self, kind: str) -> None:
        if self._upstream is not None:
            await self._on_list_changed(self._upstream, kind)

    async def _tell(self, kind: str, sandbox: Sandbox, **data: object) -> None:
        facts = {"server": sandbox.spec.server, "sandbox": sandbox.id, **data}
        await self._journal.append(Draft(kind, task=sandbox.spec.task, data=facts))


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
