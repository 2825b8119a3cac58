"""The server that is asked: `echo_server.py TOOLS`, over standard input and output, in both eras.

It does as little as a server can, and needs nothing but Python: what is timed is what stands before it. It runs in our
sandboxes and outside of them, so it imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MODERN = "2026-07-28"
VERSION_KEY, SERVER_KEY = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/serverInfo"
NO_SUCH_METHOD = -32601
SERVER = {"name": "echo", "version": "1"}
ABILITIES: dict[str, Any] = {"tools": {}}


def _tools(number: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"echo{n}",
            "description": f"Give back what it is given, number {n}.",
            "inputSchema": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "annotations": {"readOnlyHint": True},
        }
        for n in range(number)
    ]


def _answer(method: str, params: dict[str, Any], tools: list[dict[str, Any]]) -> dict[str, Any] | None:
    if method == "tools/call":
        return {"content": [{"type": "text", "text": "x" * params["arguments"].get("size", 1)}]}
    if method == "tools/list":
        return {"tools": tools, "ttlMs": 0, "cacheScope": "private"}
    if method == "server/discover":
        return {"supportedVersions": [MODERN], "capabilities": ABILITIES, "ttlMs": 0, "cacheScope": "private"}
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": ABILITIES, "serverInfo": SERVER}
    return {} if method == "ping" else None


def _told(message: dict[str, Any], tools: list[dict[str, Any]]) -> dict[str, Any]:
    params = message.get("params") or {}
    result = _answer(message["method"], params, tools)
    head = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        return {**head, "error": {"code": NO_SUCH_METHOD, "message": "no such method"}}
    if VERSION_KEY in params.get("_meta", ()):
        result = {**result, "resultType": "complete", "_meta": {SERVER_KEY: SERVER}}
    return {**head, "result": result}


def main() -> None:
    """Answer until standard input ends."""
    tools = _tools(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" in message:
            sys.stdout.buffer.write(json.dumps(_told(message, tools)).encode() + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
