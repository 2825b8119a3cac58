"""Both directions of one connection at once, until they end, break, use up a limit, or stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from muxi_sandbox.egress.relay import Meter

__all__ = ["Duplex"]


class Duplex:
    """Runs once. `idle_seconds` is how long nothing may move."""

    def __init__(self, meter: Meter, idle_seconds: float) -> None:
        self._meter = meter
        self._idle_seconds = idle_seconds
        self._scope = anyio.CancelScope()
        self._moving = 2
        self._why = f"nothing moved for egress.idle_seconds of {idle_seconds:g}"
        self._refusal: RefusedConnectionError | None = None

    async def run(
        self, up: Callable[[], Awaitable[None]], down: Callable[[], Awaitable[None]], *, down_ends_all: bool
    ) -> str:
        """Move bytes; why it ended.

        Raises:
            RefusedConnectionError: a limit was used up, or what was sent is not to be sent on.
        """
        with self._scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._half, up, False)  # noqa: FBT003  # positional by the API
                group.start_soon(self._half, down, down_ends_all)
                group.start_soon(self._watch)
        if self._refusal is not None:
            raise self._refusal
        return self._why

    async def _half(self, move: Callable[[], Awaitable[None]], ends_all: bool) -> None:  # noqa: FBT001  # see above
        try:
            await move()
        except RefusedConnectionError as refusal:
            self._refusal = self._refusal or refusal
            self._scope.cancel()
        except OSError as error:
            self._end(error.strerror or "the connection broke")
        else:
            self._moving -= 1
            if ends_all or not self._moving:
                self._end("it was closed")

    def _end(self, why: str) -> None:
        self._why = why
        self._scope.cancel()

    async def _watch(self) -> None:
        left = self._idle_seconds
        while left > 0:
            await anyio.sleep(left)  # no event is set for each byte: that would cost more
            left = self._meter.moved_at + self._idle_seconds - anyio.current_time()
        self._scope.cancel()
