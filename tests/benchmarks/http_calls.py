"""A client that does little beside sending bytes: what is timed is the runtime, not a client's library."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

__all__ = ["HttpCalls", "http_calls"]

PROTOCOL, LEGACY = "2026-07-28", "2025-11-25"
CONTENT = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
META = {
    "io.modelcontextprotocol/protocolVersion": PROTOCOL,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
IDLE_SECONDS = 2
"""Shorter than the runtime keeps a connection that nothing comes over."""
WAIT_SECONDS = 60


@asynccontextmanager
async def http_calls(url: str) -> AsyncIterator[HttpCalls]:
    """A client of a running runtime, for the block."""
    calls = HttpCalls(url)
    try:
        yield calls
    finally:
        calls.disconnect()


class HttpCalls:
    """Tool calls and questions, one at a time, over one connection while it is in use.

    They hold up the event loop on purpose: else an answer's wait for the loop would be timed as the runtime's.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"{url!r} names no host and port")
        self._address = (parts.hostname, parts.port)
        self._host, self._path = parts.netloc, parts.path
        self._connection: socket.socket | None = None
        self._used = 0.0

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> socket.socket:
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.disconnect()
        if self._connection is None:
            self._connection = socket.create_connection(self._address, WAIT_SECONDS)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    async def call(self, tool: str, arguments: dict[str, Any], task: str | None = None) -> dict[str, Any]:
        """One tool call; its result.

        Raises:
            RuntimeError: it failed.
        """
        more = f"mcp-name: {tool}\r\n" + (f"muxi-task: {task}\r\n" if task else "")
        return await self.request("tools/call", {"name": tool, "arguments": arguments}, more)

    async def request(self, method: str, params: dict[str, Any], more: str = "") -> dict[str, Any]:
        """One request of the modern era; its result. `more` are lines of the head.

        Raises:
            RuntimeError: it failed.
        """
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}).encode()
        head = f"{CONTENT}mcp-protocol-version: {PROTOCOL}\r\nmcp-method: {method}\r\n{more}"
        status, answer = self._ask("POST", self._path, head, body)
        if status != HTTPStatus.OK or b'"isError":true' in answer:
            raise RuntimeError(f"{method}: {status} {answer[:500]!r}")
        result: dict[str, Any] = json.loads(answer)["result"]
        return result

    async def open_session(self) -> None:
        """A session of the legacy era, which stays open and idle.

        Raises:
            RuntimeError: the runtime gave none.
        """
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
        status, answer = self._ask("POST", self._path, CONTENT, body)
        if status != HTTPStatus.OK:
            raise RuntimeError(f"initialize: {status} {answer[:500]!r}")

    async def new_task(self) -> str:
        """The id of a fresh task."""
        return str((await self.call("muxi__task_new", {}))["structuredContent"]["task"])

    async def end_task(self, task: str) -> None:
        """End it."""
        await self.call("muxi__task_end", {"task": task})

    async def ready(self, server: str) -> int:
        """How many sandboxes of the server the pool holds ready."""
        _, answer = self._ask("GET", self._path.removesuffix("/mcp") + "/control/status", "", b"")
        return int(next(entry["ready"] for entry in json.loads(answer)["pool"] if entry["server"] == server))

    def _ask(self, method: str, path: str, head: str, body: bytes) -> tuple[int, bytes]:
        first = f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-length: {len(body)}\r\n{head}\r\n"
        connection = self._connected()
        connection.sendall(first.encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive(connection)
        start, _, answer = received.partition(b"\r\n\r\n")
        lines = start.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        if "content-length" not in fields:
            # A stream of events, in chunks: the answer to a handshake of the legacy era. Only its end is of interest.
            while not answer.endswith(b"0\r\n\r\n"):
                answer += self._receive(connection)
        while len(answer) < int(fields.get("content-length", "0")):
            answer += self._receive(connection)
        self._used = time.monotonic()
        return int(lines[0].split()[1]), answer

    @staticmethod
    def _receive(connection: socket.socket) -> bytes:
        chunk = connection.recv(2**16)
        if not chunk:
            raise ConnectionError("the runtime closed the connection before its answer was whole")
        return chunk
