"""Plain requests of either era: those that the SDK would take as they stand, and that need nothing of it.

Above: `direct_calls`, `direct_lists` and `session_calls`, which answer such requests themselves. What is not plain,
malformed requests among them, goes on to the SDK as it came, which answers it or says what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request, find_duplicated_routing_header
from mcp_types.methods import validate_client_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic_core import from_json, to_json

from muxi_runtime.gateway.known_heads import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import Headers
    from starlette.requests import Request
    from starlette.types import Message, Receive

__all__ = [
    "Plain",
    "is_of_session",
    "likeness",
    "may_be_plain",
    "may_be_plain_in_session",
    "once_more",
    "read_body",
    "read_plain",
    "read_plain_in_session",
]

JSON, EVENTS = "application/json", "text/event-stream"
NOT_PLAIN = frozenset({"progressToken", types.LOG_LEVEL_META_KEY, "traceparent", "tracestate", "baggage"})
"""Keys of `_meta` that ask for more than a result."""
ENVELOPE = frozenset({"jsonrpc", "id", "method", "params"})
MIRROR = "mcp-param-"
SAFE = 2**53
"""Every JSON parser reads whole numbers up to this in the same way."""


@dataclass(frozen=True, slots=True)
class Plain:
    """One of them.

    Attributes:
        params: valid for its method.
        client_info: as the client says it, as is `client_capabilities`; in a session its handshake said it.
    """

    id: str | int
    version: str
    params: Mapping[str, Any]
    client_info: object = None
    client_capabilities: object = None


def may_be_plain(request: Request, method: str) -> bool:
    """By its headers alone: nothing of the body has been read."""
    facts = facts_of(request.scope)
    known: bool | None = facts.get((may_be_plain, method))
    if known is None:
        known = facts[may_be_plain, method] = _may_be_plain(request, method)
    return known


def _may_be_plain(request: Request, method: str) -> bool:
    headers = request.headers
    return (
        request.method == "POST"
        and headers.get("mcp-protocol-version") in MODERN_PROTOCOL_VERSIONS
        and headers.get("mcp-method") == method
        and _has_json(headers)
        and not any(name.startswith(MIRROR) for name in headers)
        and not find_duplicated_routing_header(headers.items())
    )


def is_of_session(request: Request) -> bool:
    """Whether the SDK would take it for a request of the legacy era, by its headers."""
    version = request.headers.get("mcp-protocol-version")
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def may_be_plain_in_session(request: Request) -> bool:
    """By its headers alone, as `may_be_plain`; they do not say which method is asked for."""
    facts = facts_of(request.scope)
    known: bool | None = facts.get(may_be_plain_in_session)
    if known is None:
        known = facts[may_be_plain_in_session] = _may_be_plain_in_session(request)
    return known


def _may_be_plain_in_session(request: Request) -> bool:
    return request.method == "POST" and is_of_session(request) and _has_json(request.headers)


def _has_json(headers: Headers) -> bool:
    return (
        headers.get("content-type") == JSON
        and headers.get("content-length", "").isdecimal()  # such a body is bounded already
        and "transfer-encoding" not in headers
        and {JSON, EVENTS} <= {part.strip() for part in headers.get("accept", "").split(",")}
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


def likeness(message: object, parameters: frozenset[str]) -> tuple[bytes, object] | None:
    """What a message has in common with those that differ from it in nothing but id and arguments.

    Of these and under one head, all are plain requests of one method, or none is. `None` where that cannot be said.
    """
    if not isinstance(message, dict) or message.keys() != ENVELOPE or message["jsonrpc"] != "2.0":
        return None
    number, params = message["id"], message["params"]
    if type(number) is not str and (type(number) is not int or not -SAFE < number < SAFE):
        return None
    if type(params) is not dict or not params.keys() <= parameters or type(params.get("arguments", _NONE)) is not dict:
        return None
    name, method = params.get("name"), message["method"]
    if type(name) is not str or type(method) is not str:
        return None
    return to_json(params.get("_meta")), (name, method)


_NONE: dict[str, Any] = {}


def read_plain(body: bytes, headers: Headers, method: str, parameters: frozenset[str]) -> Plain | None:
    """The request, if it is a plain one with no other `parameters`. `None` says no more than that it is not."""
    try:
        message = from_json(body, allow_inf_nan=False)
        if not isinstance(message, dict) or not message.keys() <= ENVELOPE:
            return None
        number = types.JSONRPCRequest.model_validate(message).id
        route = classify_inbound_request(message, headers=headers)
        if not isinstance(route, InboundModernRoute):
            return None
        params = message["params"]
        if not params.keys() <= parameters or params["_meta"].keys() & NOT_PLAIN:
            return None
        validate_client_request(method, route.protocol_version, params)
    except ValueError:  # pydantic's among them
        return None
    return Plain(number, route.protocol_version, params, route.client_info, route.client_capabilities)


def read_plain_in_session(body: bytes, version: str, method: str, parameters: frozenset[str]) -> Plain | None:
    """As `read_plain`, of the legacy era; `version` is what the session's handshake agreed on."""
    try:
        message = from_json(body, allow_inf_nan=False)
        if not isinstance(message, dict) or not message.keys() <= ENVELOPE or message.get("method") != method:
            return None
        number = types.JSONRPCRequest.model_validate(message).id
        params = message.get("params")
        if not isinstance(params, dict) or not params.keys() <= parameters:
            return None
        meta = params.get("_meta", {})
        if not isinstance(meta, dict) or meta.keys() & NOT_PLAIN:
            return None
        validate_client_request(method, version, params)
    except ValueError:  # pydantic's among them
        return None
    return Plain(number, version, params)
