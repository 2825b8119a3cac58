"""`muxi-runtime connect`: a stdio MCP server that passes everything on to the running runtime, in either era.

For clients that can only launch a command. Messages are passed on as they are; only the HTTP headers that the modern
era asks for are made here, from the message itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server

from muxi_runtime.gateway.client import check_reachable, http_client
from muxi_runtime.gateway.http_stamps import Negotiated

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream
    from mcp.shared.message import SessionMessage

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
            negotiated = Negotiated()

            async def upwards() -> None:
                await _pump(from_client, to_runtime, negotiated.stamp)
                group.cancel_scope.cancel()

            async def downwards() -> None:
                await _pump(from_runtime, to_client, negotiated.watch)
                group.cancel_scope.cancel()

            group.start_soon(upwards)
            group.start_soon(downwards)


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
