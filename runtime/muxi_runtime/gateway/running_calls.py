"""Calls of legacy sessions that run before the SDK has heard of them, and how they come to be the SDK's after all.

Most calls end within milliseconds and need nothing of their client. One that takes longer, or has something to tell or
to ask, is handed over: its request goes to the SDK as it came, and the handler that the SDK runs for it adopts the call
that runs already instead of making another one. From then on events, resumption, cancellation and questions are as in
any other request of the session. So that the SDK can tell what a message of the client is about (a cancellation, for
instance), it is handed all calls of the session before such a message.

Above: `session_calls`, which makes such calls, and `front`, whose handler adopts them. Below: the SDK's sessions.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError

from muxi_runtime.errors import ForwardedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from anyio.abc import TaskGroup
    from starlette.requests import Request

    from muxi_runtime.gateway.mcp_caller import McpCaller

__all__ = ["RunningCall", "RunningCalls", "running_call_of", "with_running_call"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
ADOPTED_SECONDS = 5
"""Within which the SDK's handler has begun, once the SDK is done with the request; it has not taken it otherwise."""
KEY = "muxi_runtime.running_call"

Answer: TypeAlias = "Callable[[RunningCall], Awaitable[None]]"


class RunningCall:
    """One of them.

    Attributes:
        handed_over: whether the SDK answers it.
    """

    def __init__(self, answer_by_sdk: Answer, begin: Callable[[RunningCall], None]) -> None:
        """`begin` has somebody run `be_answered`."""
        self._answer_by_sdk = answer_by_sdk
        self._begin = begin
        self._block = anyio.CancelScope()
        self._client: McpCaller | None = None
        self._result: dict[str, Any] | None = None
        self._error: MCPError | None = None
        self.handed_over = False
        self.was_seen = False
        self._ended = False
        self._settled: anyio.Event | None = None
        self._over: anyio.Event | None = None
        self._answered: anyio.Event | None = None

    async def run(self, call: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Make the call, and wait until the SDK has answered it if it was handed over.

        Never raises what the call does: see `result`.
        """
        try:
            with self._block:
                self._result = await call()
        except MCPError as error:
            self._error = error
        finally:
            self._ended = True
            if self._over is not None and self._settled is not None:
                self._over.set()
                self._settled.set()
        if self._answered is not None:
            await self._answered.wait()

    async def finish_by_sdk(self) -> None:
        """Have the SDK answer a call that is over."""
        self._ended = False
        self.hand_over()
        if self._over is not None and self._answered is not None:
            self._over.set()
            await self._answered.wait()

    @property
    def result(self) -> dict[str, Any]:
        """What came of it.

        Raises:
            MCPError: it failed.
        """
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise MCPError(types.INTERNAL_ERROR, "The call was cancelled.")
        return self._result

    def hand_over(self) -> None:
        """Have the SDK answer it, if it does not yet. One that is over is being answered already."""
        if not self.handed_over and not self._ended:
            self.handed_over = True
            self._settled, self._over, self._answered = anyio.Event(), anyio.Event(), anyio.Event()
            self._begin(self)

    async def settle(self) -> None:
        """Hand it over; returns when the SDK knows it, or it is over."""
        self.hand_over()
        if self._settled is not None:
            await self._settled.wait()

    async def client(self) -> McpCaller:
        """The client, by way of the SDK.

        Raises:
            ForwardedError: the session is no more.
        """
        await self.settle()
        if self._client is None:
            raise ForwardedError("The client's session has ended.", code=types.CONNECTION_CLOSED)
        return self._client

    async def adopt(self, client: McpCaller) -> dict[str, Any]:
        """For the SDK's handler: the result, once it is there. Who is cancelled here has cancelled the call.

        Raises:
            MCPError: it failed.
        """
        if self._over is None or self._settled is None:
            raise RuntimeError("only a call that was handed over can be adopted")
        self._client = client
        self._settled.set()
        try:
            await self._over.wait()
        finally:
            if not self._over.is_set():
                self._block.cancel()
        return self.result

    async def be_answered(self) -> None:
        """By the SDK. A call that it does not take, since the session has just ended, is cancelled."""
        if self._settled is None or self._answered is None:
            raise RuntimeError("only a call that was handed over is answered here")
        try:
            await self._answer_by_sdk(self)
            with anyio.move_on_after(ADOPTED_SECONDS):
                await self._settled.wait()
        except Exception:
            # The boundary between one call and all others, which are answered in the same group.
            logger.exception("a call could not be handed over to its session, and is cancelled")
        finally:
            if not self._settled.is_set():
                self._block.cancel()
                self._settled.set()
            self._answered.set()


class RunningCalls:
    """Those under way, by session and id of the request."""

    def __init__(self, look_seconds: float = LOOK_SECONDS) -> None:
        """What takes longer than one or two times `look_seconds` is handed over."""
        self._look_seconds = look_seconds
        self._open: dict[str, dict[str, RunningCall]] = {}
        self._group: TaskGroup | None = None

    def may_begin(self, session: str, number: str | int) -> bool:
        """Whether a call can be handed over, and no other one of this session has its id."""
        return self._group is not None and str(number) not in self._open.get(session, ())

    @contextmanager
    def open(self, session: str, number: str | int, answer_by_sdk: Answer) -> Iterator[RunningCall]:
        """A block in which the call runs."""
        context = copy_context()
        call = RunningCall(answer_by_sdk, lambda call: self._start(call, context))
        calls = self._open.setdefault(session, {})
        calls[str(number)] = call
        try:
            yield call
        finally:
            del calls[str(number)]
            if not calls:
                del self._open[session]

    def _start(self, call: RunningCall, context: Context) -> None:
        if self._group is not None:
            _ = context.run(self._group.start_soon, call.be_answered)

    async def settle(self, session: str) -> None:
        """Hand over all calls of a session; returns when the SDK knows them."""
        calls = list(self._open.get(session, {}).values())
        for call in calls:
            call.hand_over()
        for call in calls:
            await call.settle()

    async def watch(self) -> None:
        """Hand over those that take long; runs for ever."""
        async with anyio.create_task_group() as group:
            self._group = group
            while True:
                await anyio.sleep(self._look_seconds)
                for calls in self._open.values():
                    for call in calls.values():
                        if call.was_seen:
                            call.hand_over()
                        call.was_seen = True


def with_running_call(scope: dict[str, Any], call: RunningCall) -> dict[str, Any]:
    """The ASGI scope of a request that is handed over."""
    return {**scope, KEY: call}


def running_call_of(request: Request | None) -> RunningCall | None:
    """The call that runs already for a request, if one does."""
    call = request.scope.get(KEY) if request is not None else None
    return call if isinstance(call, RunningCall) else None
