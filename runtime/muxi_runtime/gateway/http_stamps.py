"""The HTTP headers that streamable HTTP asks for, made from each message alone.

Above: `bridge` (a client over standard input and output) and `remote` (a server over HTTP): both have messages only,
where the SDK's own client knows more.
"""

from __future__ import annotations

from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCRequest, JSONRPCResponse

__all__ = ["Negotiated"]


class Negotiated:
    """The protocol version of the legacy handshake, once it is known; modern messages carry their own."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._initialize: object = None

    def stamp(self, item: SessionMessage) -> SessionMessage:
        """A client's message with the headers that its era wants."""
        message = item.message
        if not isinstance(message, JSONRPCRequest):
            headers = {MCP_PROTOCOL_VERSION_HEADER: self._version} if self._version else {}
            return SessionMessage(message, ClientMessageMetadata(headers=headers)) if headers else item
        if message.method == "initialize":
            self._initialize = message.id
            return item
        return SessionMessage(message, ClientMessageMetadata(headers=self._headers(message)))

    def watch(self, item: SessionMessage) -> SessionMessage:
        """The runtime's message as it is; its answer to `initialize` tells the version."""
        message = item.message
        if isinstance(message, JSONRPCResponse) and message.id == self._initialize is not None:
            version = message.result.get("protocolVersion")
            self._version = version if isinstance(version, str) else None
        return item

    def _headers(self, message: JSONRPCRequest) -> dict[str, str]:
        params: dict[str, Any] = message.params or {}
        meta = params.get("_meta")
        version = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
        if not isinstance(version, str):
            return {MCP_PROTOCOL_VERSION_HEADER: self._version} if self._version else {}
        headers = {MCP_PROTOCOL_VERSION_HEADER: version, MCP_METHOD_HEADER: message.method}
        name = params.get(NAME_BEARING_METHODS.get(message.method, ""))
        if isinstance(name, str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
        return headers
