"""`muxi-runtime connect`: a stdio MCP server that passes everything on to the running runtime, in either era.

For clients that can only launch a command. Messages are passed on as they are; only the HTTP headers that the modern
era asks for are made here, from the message itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCRequest, JSONRPCResponse

from muxi_runtime.gateway.client import check_reachable, http_client

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream

__all__ = ["run"]


async def run(url: str, key: str | None) -> None:
    """Serve on standard input and output until either side ends.

    Raises:
        NotRunningError: nothing answers at the URL.
        IdentityError: the key is missing or wrong.
    """
    async with http_client(key) as http:
        await check_reachable(http, url)
        async with (
            streamable_http_client(url, http_client=http, max_sse_event_size=None) as (
                from_runtime,
                to_runtime,
            ),
            stdio_server() as (from_client, to_client),
            to_client,  # closed by us: stdio_server's writer ends only then
            anyio.create_task_group() as group,
        ):
            negotiated = _Negotiated()

            async def upwards() -> None:
                await _pump(from_client, to_runtime, negotiated.stamp)
                group.cancel_scope.cancel()

            async def downwards() -> None:
                await _pump(from_runtime, to_client, negotiated.watch)
                group.cancel_scope.cancel()

            group.start_soon(upwards)
            group.start_soon(downwards)


class _Negotiated:
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


async def _pump(
    source: ReadStream[SessionMessage | Exception],
    sink: WriteStream[SessionMessage],
    change: Any,  # noqa: ANN401
) -> None:
    """Pass messages on until the source ends; a line that is no message is dropped, its sender sees no answer."""
    try:
        async for item in source:
            if not isinstance(item, Exception):
                await sink.send(change(item))
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        return
