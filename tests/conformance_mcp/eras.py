"""Holds the SDK's server, which speaks both eras, to one: as a server that knows no other answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FOREIGN = {"legacy": "server/discover", "modern": "initialize"}
"""What each kind of server has never heard of."""


def _refusal(message: types.JSONRPCRequest) -> types.JSONRPCError:
    error = types.ErrorData(code=types.METHOD_NOT_FOUND, message=f"Method not found: {message.method}")
    return types.JSONRPCError(jsonrpc="2.0", id=message.id, error=error)


@asynccontextmanager
async def held_to(era: str, incoming: Any, outgoing: Any) -> AsyncIterator[tuple[Any, Any]]:
    """The streams of a connection, without the other era's first request."""
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](0)

    async def pass_on() -> None:
        async with send:
            async for item in incoming:
                message = item.message if isinstance(item, SessionMessage) else None
                if isinstance(message, types.JSONRPCRequest) and message.method == FOREIGN[era]:
                    await outgoing.send(SessionMessage(_refusal(message)))
                else:
                    await send.send(item)

    async with receive, anyio.create_task_group() as group:
        group.start_soon(pass_on)
        yield receive, outgoing
        group.cancel_scope.cancel()


class OneEra:
    """An ASGI application that refuses requests of the other era by their header."""

    def __init__(self, app: ASGIApp, era: str) -> None:
        self._app = app
        self._era = era

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            version = headers.get("mcp-protocol-version")
            is_legacy = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
            if is_legacy != (self._era == "legacy"):
                error = {"code": -32000, "message": "Bad Request: Unsupported protocol version"}
                refusal = JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status_code=400)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
