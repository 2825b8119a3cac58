"""A server whose tools are faults, written by hand, since the SDK's would not do such things.

It speaks the legacy era. As a program its answers are lines; over HTTP they are bodies.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.lowlevel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from muxi_runtime.errors import sole_error
from muxi_sandbox.fake import FakeProcess

FAULTS = ("silent", "crash", "garbage", "wrong_id", "endless", "huge")
TOOLS = (*FAULTS, "fine", "slow")
PIECE = b"x" * 2**20
PIECES = 100
NOTE = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"again"}}'


class FaultyServer:
    """One running copy, or all of them.

    Attributes:
        slow: set when a call of `slow` waits.
        release: lets all of them end.
        cancelled: set when a call of `slow` is given up.
    """

    def __init__(self) -> None:
        self.slow = anyio.Event()
        self.release = anyio.Event()
        self.cancelled = anyio.Event()

    async def program(self, process: FakeProcess) -> int:
        """Over standard streams."""
        try:
            return await self._run(process)
        except ExceptionGroup as errors:
            raise sole_error(errors) or errors from errors

    async def _run(self, process: FakeProcess) -> int:
        async with anyio.create_task_group() as group:
            while True:
                message = json.loads(await process.receive())
                if message.get("method") == "notifications/cancelled":
                    self.cancelled.set()
                if _tool(message) == "crash":
                    group.cancel_scope.cancel()
                    return 3
                if "id" in message:
                    group.start_soon(self._answer, process, message)

    async def _answer(self, process: FakeProcess, message: dict[str, Any]) -> None:
        match _tool(message):
            case "silent":
                return
            case "garbage":
                await process.send(b"this is no JSON")
            case "endless":
                while True:
                    await process.send(NOTE)
            case "huge":
                for _ in range(PIECES):
                    await process.write(PIECE)
            case _:
                await process.send(json.dumps(await self._result(message)).encode())

    async def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        number: Any = message["id"]
        results: dict[str, dict[str, Any]] = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "faulty", "version": "1"},
            },
            "tools/list": {"tools": [_described(name) for name in TOOLS]},
            "tools/call": {"content": [{"type": "text", "text": "fine"}]},
        }
        if message["method"] not in results:
            error = {"code": -32601, "message": "Method not found"}
            return {"jsonrpc": "2.0", "id": number, "error": error}
        if _tool(message) == "wrong_id":
            number = "another"
        elif _tool(message) == "slow":
            self.slow.set()
            await self.release.wait()
        return {"jsonrpc": "2.0", "id": number, "result": results[message["method"]]}

    def app(self) -> Starlette:
        """Over HTTP, at `/mcp`."""
        return Starlette(routes=[Route("/mcp", self._serve, methods=["POST", "GET"])])

    async def _serve(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(status_code=405)
        message = await request.json()
        if message.get("method") == "notifications/cancelled":
            self.cancelled.set()
        if "id" not in message:
            return Response(status_code=202)
        bodies: dict[str, Callable[[], AsyncIterator[bytes]]] = {
            "silent": _nothing,
            "crash": _broken,
            "endless": _events,
            "huge": _pieces,
        }
        tool = _tool(message)
        if tool == "garbage":
            return Response(b"this is no JSON", media_type="application/json")
        if tool in bodies:
            kind = "text/event-stream" if tool in ("endless", "silent") else "application/json"
            return StreamingResponse(bodies[tool](), media_type=kind)
        return JSONResponse(await self._result(message))


async def _nothing() -> AsyncIterator[bytes]:
    yield b": nothing\n\n"
    await anyio.sleep_forever()


async def _broken() -> AsyncIterator[bytes]:
    yield b'{"jsonrpc"'
    raise ConnectionError("it crashes")


async def _events() -> AsyncIterator[bytes]:
    while True:
        await anyio.lowlevel.checkpoint()  # else nobody notices that the client has gone
        yield b"event: message\ndata: " + NOTE + b"\n\n"


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(PIECES):
        yield PIECE


def _tool(message: dict[str, Any]) -> str:
    return str(message["params"]["name"]) if message.get("method") == "tools/call" else ""


def _described(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
