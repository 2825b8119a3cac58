"""JSON-RPC and the two eras of MCP, without input or output.

Legacy (up to 2025-11-25): a handshake, then requests. Modern (2026-07-28): no handshake; every request carries an
envelope in `params._meta`, every result says `resultType`, lists say how long they may be kept. The first request
decides which era a connection serves, once; a later claim of the other one is refused.
"""

from __future__ import annotations

from muxi_servers.kit.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    UNSUPPORTED_PROTOCOL_VERSION,
    ProtocolError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Params = dict[str, Any]

__all__ = ["LEGACY_VERSIONS", "MODERN_VERSIONS", "Connection", "Request", "parse_message", "progress_token"]

LEGACY_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)
_PREFIX = "io.modelcontextprotocol/"
_VERSION = _PREFIX + "protocolVersion"
_CAPABILITIES = _PREFIX + "clientCapabilities"
_SERVER_INFO = _PREFIX + "serverInfo"
_CACHEABLE = frozenset({"server/discover", "tools/list"})
_TTL_MS = 3_600_000  # the tools of a built-in server never change while it runs


class Request:
    """A request or, with `id` None, a notification."""

    __slots__ = ("id", "method", "params")

    def __init__(self, method: str, params: Params, request_id: str | int | None) -> None:
        self.method = method
        self.params = params
        self.id = request_id


def parse_message(message: object) -> Request | None:
    """A decoded message as a request; `None` for a response, which nobody here waits for.

    Raises:
        ProtocolError: it is no JSON-RPC 2.0 request or notification.
    """
    if isinstance(message, list):
        raise ProtocolError(INVALID_REQUEST, "batches are not part of MCP; send one message per line")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'a message must be an object with "jsonrpc": "2.0"')
    if "method" not in message and ("result" in message or "error" in message):
        return None
    method = message.get("method")
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "method must be a string")
    request_id = message.get("id")
    if "id" in message and (not isinstance(request_id, str | int) or isinstance(request_id, bool)):
        raise ProtocolError(INVALID_REQUEST, "id must be a string or an integer")
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, "params must be an object")
    return Request(method, params, request_id)


def progress_token(params: Params) -> str | int | None:
    """The token under which the caller wants progress, if it does."""
    meta = params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    return token if isinstance(token, str | int) and not isinstance(token, bool) else None


class Connection:
    """The era of one connection, and what it adds to requests and results."""

    def __init__(self, server_info: dict[str, Any], instructions: str, methods: frozenset[str]) -> None:
        self._info = server_info
        self._instructions = instructions
        self._methods = methods
        self._modern: bool | None = None
        self._initialized = False

    def admit(self, request: Request) -> None:
        """Let a request in, or say why not.

        Raises:
            ProtocolError: the wrong era, an unknown version, an unknown method, or no handshake yet.
        """
        if self._modern is None:
            self._modern = request.method != "initialize" and _has_envelope(request.params)
        if self._modern:
            self._admit_modern(request)
        elif request.method != "initialize" and _has_envelope(request.params):
            raise ProtocolError(
                INVALID_REQUEST, "this connection began with initialize: requests with an envelope are not taken on it"
            )
        if not self._serves(request.method):
            raise ProtocolError(METHOD_NOT_FOUND, f"unknown method {request.method[:100]}")
        if not (self._modern or self._initialized or request.method in {"initialize", "ping"}):
            raise ProtocolError(INVALID_PARAMS, "send initialize first")

    def answer_built_in(self, request: Request) -> dict[str, Any] | None:
        """The result of a method that the protocol itself has; `None` for the others."""
        if request.method == "ping":
            return {}
        if request.method == "initialize":
            return self._initialize(request.params)
        if request.method == "server/discover":
            return {"supportedVersions": list(MODERN_VERSIONS), **self._self_description()}
        return None

    def finish(self, method: str, result: dict[str, Any]) -> dict[str, Any]:
        """The result with what the connection's era wants in it."""
        if not self._modern:
            return result
        if method in _CACHEABLE:
            result = {**result, "ttlMs": _TTL_MS, "cacheScope": "public"}
        return {**result, "resultType": "complete", "_meta": {_SERVER_INFO: self._info}}

    def _serves(self, method: str) -> bool:
        own = {"server/discover"} if self._modern else {"initialize", "ping"}
        return method in own or method in self._methods

    def _admit_modern(self, request: Request) -> None:
        if request.method == "initialize":
            data = {"supported": list(MODERN_VERSIONS), "requested": str(request.params.get("protocolVersion"))[:100]}
            raise ProtocolError(UNSUPPORTED_PROTOCOL_VERSION, "this connection has no handshake", data)
        meta = request.params.get("_meta")
        fields = meta if isinstance(meta, dict) else {}
        missing = [key for key in (_VERSION, _CAPABILITIES) if key not in fields]
        if missing:
            raise ProtocolError(INVALID_PARAMS, f"params._meta lacks {' and '.join(missing)}")
        version = fields[_VERSION]
        if not isinstance(version, str):
            raise ProtocolError(INVALID_PARAMS, f"{_VERSION} must be a string")
        if version not in MODERN_VERSIONS:
            data = {"supported": list(MODERN_VERSIONS), "requested": version[:100]}
            raise ProtocolError(UNSUPPORTED_PROTOCOL_VERSION, "unsupported protocol version", data)

    def _initialize(self, params: Params) -> dict[str, Any]:
        wanted = params.get("protocolVersion")
        if not isinstance(wanted, str):
            raise ProtocolError(INVALID_PARAMS, "protocolVersion must be a string")
        self._initialized = True
        version = wanted if wanted in LEGACY_VERSIONS else LEGACY_VERSIONS[-1]
        return {"protocolVersion": version, "serverInfo": self._info, **self._self_description()}

    def _self_description(self) -> dict[str, Any]:
        return {"capabilities": {"tools": {"listChanged": False}}, "instructions": self._instructions}


def _has_envelope(params: Params) -> bool:
    meta = params.get("_meta")
    return isinstance(meta, dict) and _VERSION in meta
