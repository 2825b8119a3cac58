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
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types.methods import serialize_server_result
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from muxi_runtime.errors import ForwardedError
from muxi_runtime.gateway.caller import ASKABLE, Inputs
from muxi_runtime.gateway.front import Wish
from muxi_runtime.gateway.guard import LABELS_META
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.known_heads import facts_of
from muxi_runtime.gateway.plain_requests import likeness, may_be_plain, once_more, read_body, read_plain
from muxi_runtime.gateway.plain_results import encoded, is_of_texts
from muxi_runtime.gateway.request_facts import origin_of
from muxi_runtime.gateway.wire_errors import SERVER_FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from muxi_runtime.gateway.answer_stream import AnswerStreams
    from muxi_runtime.gateway.caller import Answer, Origin, Question
    from muxi_runtime.gateway.front import Front
    from muxi_runtime.identity.principal import Principal

__all__ = ["METHOD", "DirectCalls", "PlainCall", "PlainCaller"]

METHOD = "tools/call"
PARAMETERS = frozenset({"name", "arguments", "_meta"})
OWN_META = {LABELS_META}
"""What the runtime itself says of a result, as a list of texts."""
_NONE: dict[str, Any] = {}
MOST_KNOWN, MOST_META_BYTES = 12, 2048
"""Facts of one head, and what each may take: a client that says something else in each call is read anew each time."""


class PlainCaller:
    """A client that can neither be asked nor told how far a call is."""

    wants_progress = False
    log_level = None
    asked = ""
    brought_answer = False
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

    def permitted(self, mark: str, approval: str) -> None:
        """It does not come back."""

    def resumes(self, mark: str) -> str:
        """It does not come back."""
        del mark
        return ""

    async def ask(self, question: Question) -> Answer | None:
        """Nobody to ask."""
        del question
        return None

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Nobody to tell."""


@dataclass(frozen=True, slots=True)
class PlainCall:
    """A request that may go the short way, and what it asks for.

    Attributes:
        version: of the protocol.
    """

    id: str | int
    version: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class _Sender:
    """What follows from a head and a `_meta`."""

    version: str
    origin: Origin


class DirectCalls:
    """An ASGI application around the SDK's."""

    def __init__(self, app: ASGIApp, front: Front, answers: AnswerStreams) -> None:
        self._app = app
        self._front = front
        self._answers = answers
        self._stamp = front.server.server_info_stamp  # a copy, each time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain tool call; pass on all else."""
        request = Request(scope, receive)
        if not may_be_plain(request, METHOD):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        call = self.read(body, request)
        if call is None:
            await self._app(scope, once_more(body, receive), send)
            return
        await self.answer(call, request, principal_of(request), receive, send)

    def read(self, body: bytes, request: Request) -> PlainCall | None:
        """The call, if it is a plain one; `request` has its head."""
        call = _read(body, request)
        return None if call is None or self._front.mirrors_arguments(call.wish.name, request) else call

    async def answer(
        self, call: PlainCall, request: Request, principal: Principal, receive: Receive, send: Send
    ) -> None:
        """Make the call, and send its answer. Of the `request`, its head counts."""
        async with self._answers.open(receive, send) as stream:
            stream.end_with(*await self._answer(call, request, principal))

    async def _answer(self, call: PlainCall, request: Request, principal: Principal) -> tuple[int, bytes]:
        """The HTTP status, and the JSON-RPC answer."""
        try:
            result = await self._front.call(call.wish, request, PlainCaller(principal))
            try:
                result = _shaped(result, call.version)
            except ValidationError:
                raise MCPError(SERVER_FAILED, "The server's result is none of MCP.") from None
        except MCPError as error:
            told = error.error.model_dump(mode="json", by_alias=True, exclude_none=True)
            status = ERROR_CODE_HTTP_STATUS.get(error.error.code, 200)
            return status, encoded({"jsonrpc": "2.0", "id": call.id, "error": told})
        result["_meta"] = {types.SERVER_INFO_META_KEY: self._stamp, **(result.get("_meta") or {})}
        return 200, encoded({"jsonrpc": "2.0", "id": call.id, "result": result})


def _shaped(result: dict[str, Any], version: str) -> dict[str, Any]:
    """A result as its era has it; what is not the result's own there is left out."""
    if is_of_texts(result) and result.get("_meta", _NONE).keys() <= OWN_META:
        return result  # just what the models would make of it
    return serialize_server_result(METHOD, version, result)


def _read(body: bytes, request: Request) -> PlainCall | None:
    """The call, if it is a plain one. What a client says with all its calls is looked at in the first."""
    facts = facts_of(request.scope)
    try:
        message = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    alike = likeness(message, PARAMETERS)
    known: _Sender | None = facts.get(alike)
    if known is not None:
        params = message["params"]
        wish = Wish(params["name"], params.get("arguments") or {}, known.origin)
        return PlainCall(message["id"], known.version, wish)
    call = _read_new(body, request)
    if call is not None and alike is not None and len(alike[0]) < MOST_META_BYTES and len(facts) < MOST_KNOWN:
        facts[alike] = _Sender(call.version, call.wish.origin)
    return call


def _read_new(body: bytes, request: Request) -> PlainCall | None:
    plain = read_plain(body, request.headers, METHOD, PARAMETERS)
    if plain is None or not _cannot_be_asked(plain.client_capabilities):
        return None
    try:
        client = _name_of(plain.client_info)
    except ValueError:  # pydantic's
        return None
    params = plain.params
    wish = Wish(params["name"], params.get("arguments") or {}, origin_of(params["_meta"], client, request))
    return PlainCall(plain.id, plain.version, wish)


def _cannot_be_asked(able: object) -> bool:
    return isinstance(able, dict) and not able.keys() & set(ASKABLE.values())


def _name_of(client_info: object) -> str:
    return types.Implementation.model_validate(client_info).name if client_info is not None else ""
