"""`python -m conformance_mcp (stdio | http PORT) (modern | legacy)`: the fixture as a program, held to one era."""

from __future__ import annotations

import sys

import anyio
import uvicorn
from mcp.server.stdio import stdio_server

from conformance_mcp.eras import OneEra, held_to
from conformance_mcp.server import Fixture


async def _stdio(era: str) -> None:
    server = Fixture().server
    async with stdio_server() as streams, held_to(era, *streams) as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def main() -> None:
    """Run until standard input ends, or until a signal."""
    if sys.argv[1] == "stdio":
        anyio.run(_stdio, sys.argv[2])
        return
    app = OneEra(Fixture().server.streamable_http_app(), sys.argv[3])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")


main()
