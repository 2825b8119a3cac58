"""The short way for what clients ask for most: a plain tool call of the modern era, over HTTP.

Above: `http`, which puts this in front of the SDK's sessions. Below: `front.Front.call`, which the SDK's way ends in
too. Only a request that the SDK would take as it stands, and that needs nothing of it, goes this way: no progress, no
question to a person, no header that mirrors an argument. Everything else, and every malformed request, is handed to the
SDK as it came, which answers or refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp import MCPError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundModernRoute,
    classify_inbound_request,
    find_duplicated_routing_header,
)
from mcp_types.methods import serialize_server_result, validate_client_request
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from muxi_runtime.errors import ForwardedError
from muxi_runtime.gateway.caller import ASKABLE, Inputs
from muxi_runtime.gateway.front import Wish
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.wire_errors import SERVER_FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from muxi_runtime.gateway.answer_stream import AnswerStreams
    from muxi_runtime.gateway.caller import Answer, Question
    from muxi_runtime.gateway.front import Front
    from muxi_runtime.identity.principal import Principal

__all__ = ["NOT_PLAIN", "DirectCalls", "PlainCaller", "may_be_plain", "once_more", "read_body"]

METHOD = "tools/call"
JSON, EVENTS = "application/json", "text/event-stream"
NOT_PLAIN = frozenset({"progressToken", types.LOG_LEVEL_META_KEY, "traceparent", "tracestate", "baggage"})
"""Keys of `_meta` that ask for more than a result."""
ENVELOPE = frozenset({"jsonrpc", "id", "method", "params"})
PARAMETERS = frozenset({"name", "arguments", "_meta"})
MIRROR = "mcp-param-"


class PlainCaller:
    """A client that can neither be asked nor told how far a call is."""

    wants_progress = False
    log_level = None
    inputs = Inputs()
    capabilities: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    async def answers(self, requests: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Nobody to ask; a server that only wants to be called again is."""
        if requests:
            raise ForwardedError("The client did not say that it can be asked.", code=types.METHOD_NOT_FOUND)
        return {}

    def hand_over(self, requests: Mapping[str, Any], state: str | None) -> bool:
        """It does not come back."""
        del requests, state
        return False

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nobody to tell."""

    async def ask(self, question: Question) -> Answer | None:
        """Nobody to ask."""
        del question
        return None

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Nobody to tell."""


@dataclass(frozen=True, slots=True)
class _Plain:
    """A request that may go the short way."""

    id: str | int
    version: str
    wish: Wish


class DirectCalls:
    """An ASGI application around the SDK's."""

    def __init__(self, app: ASGIApp, front: Front, answers: AnswerStreams) -> None:
        self._app = app
        self._front = front
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain tool call; pass on all else."""
        request = Request(scope, receive)
        if not may_be_plain(request, METHOD):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        call = _read(body, request.headers)
        if call is None or self._front.mirrors_arguments(call.wish.name, request):
            await self._app(scope, once_more(body, receive), send)
            return
        async with self._answers.open(receive, send) as stream:
            stream.end_with(*await self._answer(call, request))

    async def _answer(self, call: _Plain, request: Request) -> tuple[int, Message]:
        """The HTTP status, and the JSON-RPC answer."""
        try:
            result = await self._front.call(call.wish, request, PlainCaller(principal_of(request)))
            try:
                result = serialize_server_result(METHOD, call.version, result)
            except ValidationError:
                raise MCPError(SERVER_FAILED, "The server's result is none of MCP.") from None
        except MCPError as error:
            told = error.error.model_dump(mode="json", by_alias=True, exclude_none=True)
            status = ERROR_CODE_HTTP_STATUS.get(error.error.code, 200)
            return status, {"jsonrpc": "2.0", "id": call.id, "error": told}
        meta = {types.SERVER_INFO_META_KEY: self._front.server.server_info_stamp, **(result.get("_meta") or {})}
        return 200, {"jsonrpc": "2.0", "id": call.id, "result": {**result, "_meta": meta}}


def may_be_plain(request: Request, method: str) -> bool:
    """By its headers alone: nothing of the body has been read."""
    headers = request.headers
    accepted = {part.strip() for part in headers.get("accept", "").split(",")}
    return (
        request.method == "POST"
        and headers.get("mcp-protocol-version") in MODERN_PROTOCOL_VERSIONS
        and headers.get("mcp-method") == method
        and headers.get("content-type") == JSON
        and headers.get("content-length", "").isdecimal()  # such a body is bounded already
        and "transfer-encoding" not in headers
        and {JSON, EVENTS} <= accepted
        and not any(name.startswith(MIRROR) for name in headers)
        and not find_duplicated_routing_header(headers.items())
    )


async def read_body(receive: Receive) -> bytes | None:
    """All of it; `None` if the client left."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def once_more(body: bytes, receive: Receive) -> Receive:
    """A `receive` that begins with the body that was read."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def _read(body: bytes, headers: Headers) -> _Plain | None:
    """The call, if it is a plain one. `None` says no more than that: the SDK says what is wrong, if anything is."""
    try:
        message = from_json(body, allow_inf_nan=False)
        if not isinstance(message, dict) or not message.keys() <= ENVELOPE:
            return None
        number = types.JSONRPCRequest.model_validate(message).id
        route = classify_inbound_request(message, headers=headers)
        if not isinstance(route, InboundModernRoute) or not _asks_for_a_result_only(message["params"], route):
            return None
        validate_client_request(METHOD, route.protocol_version, message["params"])
        client = _name_of(route.client_info)
    except ValueError:  # pydantic's among them
        return None
    params = message["params"]
    wish = Wish(params["name"], params.get("arguments") or {}, params["_meta"], client)
    return _Plain(number, route.protocol_version, wish)


def _asks_for_a_result_only(params: dict[str, Any], route: InboundModernRoute) -> bool:
    able = route.client_capabilities
    return (
        params.keys() <= PARAMETERS
        and not params["_meta"].keys() & NOT_PLAIN
        and isinstance(able, dict)
        and not able.keys() & set(ASKABLE.values())
    )


def _name_of(client_info: object) -> str:
    return types.Implementation.model_validate(client_info).name if client_info is not None else ""
