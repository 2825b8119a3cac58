"""Tool calls on their way to a server, past the SDK's client: it would model each message several times over.

Above: `upstream`, which speaks through the SDK for all else. Below: `Sandbox`. Both share one stream, so ids here are
of a range that the SDK, which counts from zero in each session, does not reach.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from pydantic_core import from_json, to_json

from muxi_runtime.errors import ForwardedError, ServerError
from muxi_runtime.gateway.caller import ASKABLE
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from muxi_runtime.gateway.caller import Caller
    from muxi_sandbox.contract import Sandbox

__all__ = ["Requests", "Told", "Turn"]

JSON = json.JSONEncoder(separators=(",", ":"))
FIRST_ID = 10**9
"""Small enough for servers that hold an id in 32 bits."""
CANCEL_SECONDS = 1
MAX_PROGRESS = 100
"""Reports that wait for a slow caller; older ones are dropped, since a newer one says more."""

MOST_PROGRESS = sys.float_info.max
MAX_QUESTIONS = 100
"""Requests of the server that wait to be answered in one call; the ones after them are refused."""
GATHER_SECONDS = 0.02
"""How long a question waits for others that are asked along with it: they are put to the caller together."""
NOTES = frozenset({"notifications/message", "notifications/elicitation/complete"})
"""What a server says in mid-call, without saying in which."""

Message = dict[str, Any]
Told: TypeAlias = "Callable[[Sequence[str]], Awaitable[None]]"


class Turn:
    """One call's turn with a server whose questions name no call: while it runs, what is asked is asked by it."""

    def __init__(self, gate: anyio.Semaphore) -> None:
        self._gate = gate
        self._is_mine = False

    async def take(self) -> None:
        """Wait for it."""
        await self._gate.acquire()
        self._is_mine = True

    def leave(self) -> None:
        """Let others have theirs."""
        if self._is_mine:
            self._is_mine = False
            self._gate.release()


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request without an answer yet. `reports` are progress and notes, in their order.

    It is `parked` while its caller looks for answers.
    """

    caller: Caller | None = None
    turn: Turn | None = None
    told: Told | None = None
    parked: bool = False
    has_news: bool = False
    heard: asyncio.Future[None] | None = None
    """Where somebody waits for news."""
    over: anyio.Event | None = None
    """Set with the answer; there is one where somebody waits for that alone."""
    reports: deque[Message] = field(default_factory=lambda: deque(maxlen=MAX_PROGRESS))
    questions: list[Message] = field(default_factory=list)
    answer: Message | None = None

    def end(self) -> None:
        if self.over is not None:
            self.over.set()

    def stir(self) -> None:
        """There is something new."""
        self.has_news = True
        if self.heard is not None and not self.heard.done():
            self.heard.set_result(None)

    async def wait(self) -> None:
        """Until there is something new."""
        if not self.has_news:
            self.heard = asyncio.get_running_loop().create_future()
            await self.heard
        self.has_news = False

    def can_be_asked(self, method: str) -> bool:
        return self.caller is not None and ASKABLE[method] in self.caller.capabilities


class Requests:
    """Those under way on one sandbox."""

    def __init__(self, sandbox: Sandbox, mark: str = "") -> None:
        """With a `mark`, ids begin with it: see `id_marks`."""
        self._sandbox = sandbox
        self._ids = count(FIRST_ID)
        self._mark = mark
        self._waiting: dict[str | int, _Waiting] = {}
        self._failure: SandboxError | None = None
        self.on_question: Callable[[], None] = _unnoticed

    async def ask(
        self,
        method: str,
        params: Message,
        *,
        seconds: float,
        caller: Caller | None = None,
        turn: Turn | None = None,
        told: Told | None = None,
    ) -> Message:
        """Send a request; its result as the server sent it. Cancels it at the server if it is given up.

        What the server reports, notes and asks meanwhile goes to the `caller`; `seconds` do not run while it answers,
        and others may have their turn. `told` is called with the methods of what it asks, before it is asked.

        Raises:
            TimeoutError: no answer within `seconds`.
            SandboxError: the sandbox ended.
            ForwardedError: the server answered with an error.
            ServerError: it answered with neither a result nor an error.
        """
        number = next(self._ids)
        request_id: str | int = f"{self._mark}-{number}" if self._mark else number
        if caller is not None and caller.wants_progress:
            params = {**params, "_meta": {**params.get("_meta", {}), "progressToken": request_id}}
        waiting = self._waiting[request_id] = _Waiting(caller, turn, told)
        limit = asyncio.timeout(seconds)  # a fraction of what a cancel scope with a deadline costs, in each call
        try:
            async with limit:
                await self._send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
                answer = await self._answer(waiting, limit)
        except TimeoutError:
            if limit.expired():
                await self._cancel(request_id, "it took too long")
            raise
        except anyio.get_cancelled_exc_class():
            await self._cancel(request_id, "the caller gave up")
            raise
        finally:
            del self._waiting[request_id]
        return _result(answer)

    async def _answer(self, waiting: _Waiting, limit: asyncio.Timeout) -> Message:
        while True:
            await waiting.wait()
            if waiting.caller is not None:
                await _pass_on(waiting.reports, waiting.caller)
            if waiting.answer is not None:
                return waiting.answer
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            if waiting.questions and waiting.caller is not None:
                loop = asyncio.get_running_loop()
                left = (limit.when() or loop.time()) - loop.time()
                limit.reschedule(None)
                await self._put_questions(waiting, waiting.caller)
                limit.reschedule(loop.time() + left)

    async def _put_questions(self, waiting: _Waiting, caller: Caller) -> None:
        """Answer what the server asks, unless it goes on without."""
        async with anyio.create_task_group() as group:
            over = waiting.over = anyio.Event()
            if waiting.answer is not None or self._failure is not None:
                over.set()

            async def stop_when_over() -> None:
                await over.wait()
                group.cancel_scope.cancel()

            group.start_soon(stop_when_over)
            await anyio.sleep(GATHER_SECONDS)
            questions, waiting.questions = waiting.questions, []
            replies = await self._look_for(questions, waiting, caller)
            for reply in replies:
                await self._send(reply)
            group.cancel_scope.cancel()
        waiting.stir()

    async def _look_for(self, questions: list[Message], waiting: _Waiting, caller: Caller) -> list[Message]:
        """The replies to a server's questions. Meanwhile the call is not what the server works on."""
        asked = {f"input-{number}": question for number, question in enumerate(questions, 1)}
        shown = {key: {"method": q["method"], "params": q.get("params") or {}} for key, q in asked.items()}
        waiting.parked = True
        if waiting.turn is not None:
            waiting.turn.leave()
        try:
            if waiting.told is not None:
                await waiting.told([question["method"] for question in questions])
            found = await caller.answers(shown)
        except ForwardedError as error:
            return [_refusal(question, error) for question in questions]
        finally:
            waiting.parked = False
            if waiting.turn is not None:
                await waiting.turn.take()
        return [{"jsonrpc": "2.0", "id": question["id"], "result": found[key]} for key, question in asked.items()]

    async def tell(self, method: str) -> None:
        """Send a notification.

        Raises:
            SandboxError: the sandbox ended.
        """
        await self._send({"jsonrpc": "2.0", "method": method})

    async def _send(self, message: Message) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        await self._sandbox.send(_encode(message))

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
            if "method" in message:
                return self._take_up(message)
            waiting = self._known(message.get("id"))
            if waiting is not None:
                waiting.answer = waiting.answer or message
                waiting.end()
        if waiting is not None:
            waiting.stir()
        return waiting is not None

    def _take_up(self, message: Message) -> bool:
        """A note goes to every call, since it names none; a question to the newest whose caller can answer it."""
        method = message["method"]
        if not isinstance(method, str):
            return False
        if method in NOTES:
            for waiting in self._waiting.values():
                waiting.reports.append(message)
                waiting.stir()
            return True
        if method not in ASKABLE or type(message.get("id")) not in (int, str):
            return False
        if not isinstance(message.get("params") or {}, dict):
            return False
        self.on_question()
        able = [waiting for waiting in self._waiting.values() if waiting.can_be_asked(method)]
        able = [waiting for waiting in able if not waiting.parked] or able
        if not able or len(able[-1].questions) >= MAX_QUESTIONS:
            return False
        able[-1].questions.append(message)
        able[-1].stir()
        return True

    def _known(self, request_id: object) -> _Waiting | None:
        # Of just these types: 1e9 and True are equal to ids that they are not.
        return self._waiting.get(request_id) if type(request_id) in (int, str) else None  # type: ignore[call-overload]

    def fail(self, failure: SandboxError) -> None:
        """Nothing more will come. The first reason stays."""
        self._failure = self._failure or failure
        for waiting in self._waiting.values():
            waiting.end()
            waiting.stir()


def _unnoticed() -> None:
    """Nobody wants to know that the server asks."""


async def _pass_on(reports: deque[Message], caller: Caller) -> None:
    while reports:
        report = reports.popleft()
        if "method" not in report:
            await caller.progress(report["progress"], report["total"], report["message"])
        elif isinstance(params := report.get("params"), dict):
            await caller.notify(report["method"], params)


def _refusal(question: Message, error: ForwardedError) -> Message:
    told = {"code": error.code, "message": str(error)} | ({"data": error.data} if error.data is not None else {})
    return {"jsonrpc": "2.0", "id": question["id"], "error": told}


def _encode(message: Message) -> bytes:
    """The message in ASCII: some servers take other line separators of Unicode for the end of a frame."""
    try:
        frame = to_json(message, inf_nan_mode="constants")
    except ValueError:  # half a surrogate pair
        frame = b""
    return frame if frame and frame.isascii() else JSON.encode(message).encode()


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
    """Whether it is one that every client can read: a float is what MCP has for it."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_PROGRESS


def _result(answer: Message) -> Message:
    result, error = answer.get("result"), answer.get("error")
    if error is None and isinstance(result, dict):
        return result
    if isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str):
        raise ForwardedError(error["message"], code=error["code"], data=error.get("data"))
    raise ServerError("The answer is neither a result nor an error of JSON-RPC.")
