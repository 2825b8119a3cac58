"""An MCP server of the SDK as a program of the in-memory backend: its streams are those of a process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from muxi_sandbox.fake import FakeProcess

Serve = Callable[[Any, Any], Awaitable[None]]
"""Takes what comes in and what goes out, as `Server.run` does."""


async def run_program(process: FakeProcess, serve: Serve, crashed: anyio.Event | None = None) -> None:
    """Serve over the process's standard streams, until it is killed or has crashed."""
    to_server, inbox = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outbox, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    async with to_server, inbox, outbox, from_server, anyio.create_task_group() as group:

        async def read() -> None:
            while True:
                message = jsonrpc_message_adapter.validate_json(await process.receive(), by_name=False)
                await to_server.send(SessionMessage(message))

        async def write() -> None:
            with suppress(anyio.ClosedResourceError):
                async for item in from_server:
                    await process.send(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode())

        group.start_soon(read)
        group.start_soon(write)
        group.start_soon(serve, inbox, outbox)
        try:
            await (crashed or anyio.Event()).wait()
        finally:
            from_server.close()  # nobody reads any more: the SDK's last words must not wait for that
        group.cancel_scope.cancel()
