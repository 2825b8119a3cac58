"""Calls that go on while their client is away: how a modern client is asked by a server of the legacy era.

Such a server asks in mid-call and waits. Its call is held at the door while the client gets the questions as an answer
(`InputRequiredResult`) and comes back with what it found out. The handle that it brings is sealed by the SDK's
boundary, which binds it to the principal, the method, the name and the arguments; here it counts once, and expires.

Above: `front`. Below: whatever is called, by way of `McpCaller.answers`.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from muxi_runtime.errors import ForwardedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio.abc import TaskGroup

    from muxi_runtime.gateway.mcp_caller import McpCaller

__all__ = ["HELD", "HeldCall", "HeldCalls"]

HELD = "held"
"""The key of the handle in a request's state."""
MAX_HELD = 1000
TIMED_OUT = -32001

Result: TypeAlias = "dict[str, Any]"


class HeldCall:
    """One call, seen from both of its ends."""

    def __init__(self, seconds: float, caller: McpCaller) -> None:
        self._seconds = seconds
        self.caller = caller
        self._news = anyio.Event()
        self._answered = anyio.Event()
        self._questions: Mapping[str, Any] = {}
        self._responses: Mapping[str, Any] = {}
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.scope = anyio.CancelScope()

    async def run(self, call: Callable[[], Awaitable[Result]]) -> None:
        """Make the call. Never raises: what comes of it is given to whoever waits at `next`."""
        try:
            with self.scope:
                self._result = await call()
        except Exception as error:  # noqa: BLE001 - raised again at the other end, to whom it belongs
            self._error = error
        finally:
            self._news.set()

    async def answers(self, questions: Mapping[str, Any]) -> Mapping[str, Any]:
        """For the call: have the client find out.

        Raises:
            ForwardedError: it did not come back in time.
        """
        self._questions, self._answered = questions, anyio.Event()
        self._news.set()
        try:
            with anyio.fail_after(self._seconds):
                await self._answered.wait()
        except TimeoutError:
            raise ForwardedError(f"The client did not answer within {self._seconds:g} s.", code=TIMED_OUT) from None
        return self._responses

    def give(self, responses: Mapping[str, Any]) -> None:
        """From the client. Where some are missing, it is asked again."""
        if self._questions.keys() <= responses.keys():
            self._responses = {key: responses[key] for key in self._questions}
            self._answered.set()
        else:
            self._news.set()

    async def next(self) -> Result | None:
        """For the client: the call's result, or `None` when it is asked something (see `questions`).

        Raises:
            Exception: what the call ended with.
        """
        try:
            await self._news.wait()
        except anyio.get_cancelled_exc_class():
            self.scope.cancel()
            raise
        self._news = anyio.Event()
        if self._error is not None:
            raise self._error
        if self._result is None and self.scope.cancelled_caught:
            raise ForwardedError("The call was cancelled.", code=TIMED_OUT)
        return self._result

    @property
    def questions(self) -> Mapping[str, Any]:
        """What the client is to find out."""
        return self._questions


class HeldCalls:
    """Those whose client is away, by their handles."""

    def __init__(self, seconds: float) -> None:
        """A client may stay away for so many `seconds`."""
        self._seconds = seconds
        self._away: dict[str, tuple[HeldCall, float]] = {}
        self._group: TaskGroup | None = None

    async def run(self) -> None:
        """Calls are made in here; runs for ever."""
        async with anyio.create_task_group() as group:
            self._group = group
            await anyio.sleep_forever()

    def start(self, call: Callable[[HeldCall], Awaitable[Result]], caller: McpCaller) -> HeldCall:
        """Begin a call that may be held.

        Raises:
            RefusedError: too many are.
        """
        now = time.monotonic()
        self._away = {handle: entry for handle, entry in self._away.items() if entry[1] > now}
        if self._group is None or len(self._away) >= MAX_HELD:
            raise RefusedError(f"No further call can be made that may ask: {MAX_HELD} wait for answers.")
        held = HeldCall(self._seconds, caller)
        self._group.start_soon(held.run, lambda: call(held))
        return held

    def put(self, held: HeldCall) -> str:
        """Its client leaves; the handle to come back with."""
        handle = secrets.token_hex(16)
        self._away[handle] = (held, time.monotonic() + self._seconds)
        return handle

    def take(self, handle: str) -> HeldCall | None:
        """The call that a client comes back to; once."""
        held, expires = self._away.pop(handle, (None, 0.0))
        return held if time.monotonic() < expires else None
