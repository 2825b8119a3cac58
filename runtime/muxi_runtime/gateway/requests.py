"""Tool calls on their way to a server, past the SDK's client: it would model each message several times over.

Above: `upstream`, which speaks through the SDK for all else. Below: `Sandbox`. Both share one stream, so ids here are
of a range that the SDK, which counts from zero in each session, does not reach.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_core import from_json

from muxi_runtime.errors import ForwardedError, ServerError
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.shared.dispatcher import ProgressFnT

    from muxi_sandbox.contract import Sandbox

__all__ = ["Requests"]

FIRST_ID = 10**9
"""Small enough for servers that hold an id in 32 bits."""
CANCEL_SECONDS = 1
MAX_PROGRESS = 100
"""Reports that wait for a slow caller; older ones are dropped, since a newer one says more."""

Message = dict[str, Any]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request without an answer yet."""

    news: anyio.Event = field(default_factory=anyio.Event)
    reports: deque[Message] = field(default_factory=lambda: deque(maxlen=MAX_PROGRESS))
    answer: Message | None = None


class Requests:
    """Those under way on one sandbox."""

    def __init__(self, sandbox: Sandbox, mark: str = "") -> None:
        """With a `mark`, ids begin with it: see `id_marks`."""
        self._sandbox = sandbox
        self._ids = count(FIRST_ID)
        self._mark = mark
        self._waiting: dict[str | int, _Waiting] = {}
        self._failure: SandboxError | None = None

    async def ask(self, method: str, params: Message, *, seconds: float, progress: ProgressFnT | None) -> Message:
        """Send a request; its result as the server sent it. Cancels it at the server if it is given up.

        Raises:
            TimeoutError: no answer within `seconds`.
            SandboxError: the sandbox ended.
            ForwardedError: the server answered with an error.
            ServerError: it answered with neither a result nor an error.
        """
        number = next(self._ids)
        request_id: str | int = f"{self._mark}-{number}" if self._mark else number
        if progress is not None:
            params = {**params, "_meta": {**params.get("_meta", {}), "progressToken": request_id}}
        waiting = self._waiting[request_id] = _Waiting()
        try:
            with anyio.fail_after(seconds):
                await self._send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
                answer = await self._answer(waiting, progress)
        except TimeoutError:
            await self._cancel(request_id, "it took too long")
            raise
        except anyio.get_cancelled_exc_class():
            await self._cancel(request_id, "the caller gave up")
            raise
        finally:
            del self._waiting[request_id]
        return _result(answer)

    async def _answer(self, waiting: _Waiting, progress: ProgressFnT | None) -> Message:
        while True:
            await waiting.news.wait()
            waiting.news = anyio.Event()
            while waiting.reports and progress is not None:
                report = waiting.reports.popleft()
                await progress(report["progress"], report["total"], report["message"])
            if waiting.answer is not None:
                return waiting.answer
            if self._failure is not None:
                raise self._failure.with_traceback(None)

    async def _send(self, message: Message) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        await self._sandbox.send(json.dumps(message, separators=(",", ":")).encode())

    async def _cancel(self, request_id: str | int, reason: str) -> None:
        note = {"requestId": request_id, "reason": reason}
        with anyio.move_on_after(CANCEL_SECONDS, shield=True):
            try:
                await self._send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": note})
            except SandboxError:
                return  # what is gone needs no telling

    def take(self, frame: bytes) -> bool:
        """Whether a frame from the server belongs to a request of this class; if so it has been dealt with."""
        message = _decode(frame) if self._waiting else {}
        if message.get("method") == "notifications/progress" and isinstance(params := message.get("params"), dict):
            waiting = self._known(params.get("progressToken"))
            if waiting is not None:
                _report(waiting, params)
        else:
            waiting = self._known(message.get("id")) if "method" not in message else None
            if waiting is not None:
                waiting.answer = waiting.answer or message
        if waiting is not None:
            waiting.news.set()
        return waiting is not None

    def _known(self, request_id: object) -> _Waiting | None:
        # Of just these types: 1e9 and True are equal to ids that they are not.
        return self._waiting.get(request_id) if type(request_id) in (int, str) else None  # type: ignore[call-overload]

    def fail(self, failure: SandboxError) -> None:
        """Nothing more will come. The first reason stays."""
        self._failure = self._failure or failure
        for waiting in self._waiting.values():
            waiting.news.set()


def _decode(frame: bytes) -> Message:
    """The message; an empty one if it is none."""
    try:
        message = from_json(frame)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _report(waiting: _Waiting, params: Mapping[str, Any]) -> None:
    progress, total, message = params.get("progress"), params.get("total"), params.get("message")
    if not _is_number(progress):
        return
    waiting.reports.append(
        {
            "progress": progress,
            "total": total if _is_number(total) else None,
            "message": message if isinstance(message, str) else None,
        }
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _result(answer: Message) -> Message:
    result, error = answer.get("result"), answer.get("error")
    if error is None and isinstance(result, dict):
        return result
    if isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str):
        raise ForwardedError(error["message"], code=error["code"], data=error.get("data"))
    raise ServerError("The answer is neither a result nor an error of JSON-RPC.")
