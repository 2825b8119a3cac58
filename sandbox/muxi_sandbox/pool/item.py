"""One sandbox of the pool, in a task of its own: what is entered here is left here, whoever claims and releases it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio

from muxi_sandbox.errors import SandboxDiedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from muxi_sandbox.contract import Backend, Lease, Prepared, Sandbox, Spec

__all__ = ["Item", "Session", "State"]


class Session(Protocol):
    """What is opened over a sandbox to make it ready: for the gateway, an MCP session with the server inside."""

    @property
    def ended(self) -> anyio.Event:
        """Set when the sandbox can no longer be used."""

    async def check(self) -> None:
        """Make one round trip to the program inside.

        Raises:
            Exception: it does not answer.
        """


S = TypeVar("S", bound=Session)


class State(StrEnum):
    """Where an item is in its life, which goes one way."""

    STARTING = "starting"
    READY = "ready"
    CLAIMED = "claimed"
    ENDING = "ending"
    OVER = "over"


class Item(Generic[S]):
    """Prepared, warmed, held until it is released or ends by itself.

    Attributes:
        image_id: of the image that it was made of.
        error: why it is over, if it failed.
        settled: set once it is ready, or over without ever having been.
    """

    def __init__(self, spec: Spec, image_id: str) -> None:
        self.spec = spec
        self.image_id = image_id
        self.state = State.STARTING
        self.started_at = anyio.current_time()
        self.error: Exception | None = None
        self.settled = anyio.Event()
        self.session: S
        self._prepared: Prepared
        self._released = anyio.Event()
        self._over = anyio.Event()

    async def run(
        self, backend: Backend, warm: Callable[[Sandbox], AbstractAsyncContextManager[S]], changed: Callable[[], None]
    ) -> None:
        """Its whole life. Raises nothing but cancellation: what goes wrong is in `error`."""
        try:
            async with backend.prepare(self.spec) as self._prepared, warm(self._prepared.sandbox) as self.session:
                await self.session.check()
                self.state = State.READY
                self.settled.set()
                changed()
                await self._until_over(self.session.ended)
                if self.state is State.READY and not self._released.is_set():
                    self.error = SandboxDiedError("It ended by itself while it waited for a task.")
        except Exception as error:  # noqa: BLE001  # the boundary of one sandbox: the pool says why, and makes another
            self.error = error
        finally:
            self.state = State.OVER
            self.settled.set()
            self._over.set()
            changed()

    async def _until_over(self, ended: anyio.Event) -> None:
        async def wait_for(event: anyio.Event) -> None:
            await event.wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(wait_for, ended)
            group.start_soon(wait_for, self._released)

    async def claim(self, task: str) -> Lease:
        """Make it the task's. Raises SandboxError as `Prepared.claim`."""
        self.state = State.CLAIMED
        return await self._prepared.claim(task)

    def release(self) -> None:
        """It is no longer needed. From now on nobody can claim it, though it takes a while to end."""
        if self.state is State.READY:
            self.state = State.ENDING
        self._released.set()

    async def wait_over(self) -> None:
        """Until its sandbox is gone."""
        await self._over.wait()
