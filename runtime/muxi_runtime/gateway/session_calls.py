"""The short way for plain tool calls in sessions of the legacy era: most clients' calls.

Above: `direct_calls`, which answers those of the modern era. Below: `front.Front.call`, which the SDK's way ends in
too, and the SDK's sessions. Only a call in a session that is open, and is its caller's own, goes this way, if it asks
for nothing but a result. It is answered with JSON at once, or handed over to the SDK while it runs: see
`running_calls`. Everything else goes to the SDK as it came.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp import MCPError
from mcp_types.methods import serialize_server_result
from pydantic import ValidationError
from starlette.requests import Request

from muxi_runtime.gateway.caller import Inputs
from muxi_runtime.gateway.front import Wish
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.mcp_caller import LEGACY_LEVEL, is_wanted
from muxi_runtime.gateway.plain_requests import (
    Plain,
    is_of_session,
    may_be_plain_in_session,
    once_more,
    read_body,
    read_plain_in_session,
)
from muxi_runtime.gateway.plain_results import encoded
from muxi_runtime.gateway.request_facts import origin_of, session_of
from muxi_runtime.gateway.running_calls import with_running_call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.session import ServerSession
    from starlette.types import ASGIApp, Receive, Scope, Send

    from muxi_runtime.gateway.caller import Answer, Question
    from muxi_runtime.gateway.front import Front
    from muxi_runtime.gateway.resumption import ResumableSessions
    from muxi_runtime.gateway.running_calls import RunningCall
    from muxi_runtime.identity.principal import Principal

__all__ = ["SessionCaller", "SessionCalls"]

METHOD = "tools/call"
MOST_BYTES = 256 * 2**10
"""Of JSON: a larger answer is sent as events, for the client to come back to if its connection breaks meanwhile."""
PARAMETERS = frozenset({"name", "arguments", "_meta"})


class SessionCaller:
    """A client with a session, who is reached by handing the call over to the SDK."""

    wants_progress = False
    inputs = Inputs()
    asked = ""
    brought_answer = False

    def __init__(self, principal: Principal, session: ServerSession, log_level: str, call: RunningCall) -> None:
        self.principal = principal
        self.log_level = log_level
        self.session = session
        self._call = call

    @cached_property
    def capabilities(self) -> Mapping[str, Any]:
        """As its handshake declared."""
        able = self.session.client_capabilities
        return able.model_dump(mode="json", by_alias=True, exclude_none=True) if able is not None else {}

    async def answers(self, requests: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """See `Caller.answers`."""
        return await (await self._call.client()).answers(requests) if requests else {}

    def hand_over(self, requests: Mapping[str, Any], state: str | None) -> bool:
        """It does not come back."""
        del requests, state
        return False

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """On the request's own stream, which there is from then on."""
        if method != "notifications/message" or is_wanted(params.get("level"), self.log_level):
            await (await self._call.client()).notify(method, params)

    async def ask(self, question: Question) -> Answer | None:
        """See `Caller.ask`."""
        if self.capabilities.get("elicitation") is None:
            return None
        return await (await self._call.client()).ask(question)

    def permitted(self, mark: str, approval: str) -> None:
        """It does not come back."""

    def resumes(self, mark: str) -> str:
        """It does not come back."""
        del mark
        return ""

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """It did not ask for it."""


class SessionCalls:
    """An ASGI application around the SDK's sessions."""

    def __init__(self, app: ASGIApp, front: Front, sessions: ResumableSessions) -> None:
        self._app = app
        self._front = front
        self._sessions = sessions
        self._running = front.running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain tool call; pass on all else, after the calls that it may be about."""
        request = Request(scope, receive)
        session = session_of(request)
        if session is None or request.method == "GET" or not is_of_session(request):
            await self._app(scope, receive, send)
            return
        plain: Plain | None = None
        if may_be_plain_in_session(request):
            body = await read_body(receive)
            if body is None:
                return
            receive = once_more(body, receive)
            plain = self._read(body, session)
        if not self._sessions.is_open(session, scope.get("user")):
            await self._app(scope, receive, send)
        elif plain is None or not self._running.may_begin(session, plain.id):
            await self._running.settle(session)
            await self._app(scope, receive, send)
        else:
            await self._call(plain, session, request, receive, send)

    def _read(self, body: bytes, session: str) -> Plain | None:
        known = self._front.sessions.get(session)
        if known is None or known.client_params is None:  # its handshake has not ended
            return None
        return read_plain_in_session(body, known.protocol_version, METHOD, PARAMETERS)

    async def _call(self, plain: Plain, session: str, request: Request, receive: Receive, send: Send) -> None:
        async def by_sdk(call: RunningCall) -> None:
            await self._app(with_running_call(dict(request.scope), call), receive, send)

        self._sessions.keep_awake(session)
        try:
            with self._running.open(session, plain.id, by_sdk) as call:
                wish, caller = self._asked(plain, session, request, call)
                await call.run(lambda: self._front.call(wish, request, caller))
                if not call.handed_over:
                    await _send(call, encoded(_answer(plain, call)), session, send)
        finally:
            self._sessions.keep_awake(session)

    def _asked(self, plain: Plain, session: str, request: Request, call: RunningCall) -> tuple[Wish, SessionCaller]:
        known = self._front.used_session(session)
        client = known.client_params.client_info.name if known.client_params is not None else ""
        params = plain.params
        origin = origin_of(params.get("_meta", {}), client, request)
        wish = Wish(params["name"], params.get("arguments") or {}, origin)
        level = self._front.levels.get(session) or LEGACY_LEVEL
        return wish, SessionCaller(principal_of(request), known, level, call)


def _answer(plain: Plain, call: RunningCall) -> dict[str, Any]:
    """As JSON-RPC. The words for a result that is none are the SDK's."""
    try:
        try:
            result = serialize_server_result(METHOD, plain.version, call.result)
        except ValidationError:
            raise MCPError(types.INTERNAL_ERROR, "Handler returned an invalid result") from None
    except MCPError as error:
        told = error.error.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {"jsonrpc": "2.0", "id": plain.id, "error": told}
    return {"jsonrpc": "2.0", "id": plain.id, "result": result}


async def _send(call: RunningCall, text: bytes, session: str, send: Send) -> None:
    if len(text) > MOST_BYTES:
        await call.finish_by_sdk()
        return
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(text)),
        (b"mcp-session-id", session.encode("latin-1")),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})
