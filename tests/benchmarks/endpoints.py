"""What is called: an MCP endpoint over HTTP in either era, or a server over its own standard streams."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.http_calls import CONTENT, IDLE_SECONDS, LEGACY, META, PROTOCOL
from tests.benchmarks.load import Ask, Connection, connect

__all__ = ["Endpoint", "check_answer", "message", "open_asks", "piped_asks"]

SESSION = re.compile(rb"\r\nmcp-session-id: *([^\r]+)\r\n", re.IGNORECASE)
CLOSE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a gateway answers, what it calls the echo server's first tool there, and how it is spoken to."""

    url: str
    tool: str
    modern: bool


class HttpAsk:
    """Calls of the tool, over one connection while it is in use; in the legacy era all in one session."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: Connection | None = None
        self._used = 0.0
        self._head = ""
        self._request = b""

    async def begin(self) -> None:
        """Make the request; before it a session, if the era has any.

        Raises:
            RuntimeError: the endpoint gave none.
        """
        params: dict[str, Any] = {"name": self._endpoint.tool, "arguments": {}}
        if self._endpoint.modern:
            self._head = f"mcp-protocol-version: {PROTOCOL}\r\nmcp-method: tools/call\r\nmcp-name: {params['name']}\r\n"
            params["_meta"] = META
        else:
            await self._begin_session()
        self._request = self._http("POST", CONTENT + self._head, message("tools/call", params, 1))

    async def _begin_session(self) -> None:
        hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        answer = await self._send(self._http("POST", CONTENT, message("initialize", hello, 0)))
        if b'"result"' not in answer:
            raise RuntimeError(f"no session at {self._endpoint.url}: {answer[:500]!r}")
        found = SESSION.search(answer)
        session = f"mcp-session-id: {found.group(1).decode()}\r\n" if found else ""
        self._head = f"mcp-protocol-version: {LEGACY}\r\n{session}"
        note = message("notifications/initialized", {}, None)
        await self._send(self._http("POST", CONTENT + self._head, note))

    async def __call__(self) -> None:
        """As `Ask`."""
        check_answer(await self._send(self._request))

    async def end(self) -> None:
        """End the session, if there is one, and close the connection."""
        if not self._endpoint.modern:
            await self._send(self._http("DELETE", self._head, b""))
        if self._connection is not None:
            self._connection.close()

    async def _send(self, request: bytes) -> bytes:
        if self._connection is None or time.monotonic() - self._used > IDLE_SECONDS:
            if self._connection is not None:
                self._connection.close()
            parts = urlsplit(self._endpoint.url)
            self._connection = await connect(str(parts.hostname), int(parts.port or 80))
        answer = await self._connection.send(request)
        self._used = time.monotonic()
        return answer

    def _http(self, verb: str, head: str, body: bytes) -> bytes:
        parts = urlsplit(self._endpoint.url)
        length = f"content-length: {len(body)}\r\n"
        return f"{verb} {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{length}{head}\r\n".encode() + body


@asynccontextmanager
async def open_asks(endpoint: Endpoint, connections: int) -> AsyncIterator[list[Ask]]:
    """Calls of the tool over so many connections.

    Raises:
        RuntimeError: it gave no session.
    """
    async with AsyncExitStack() as stack:
        asks: list[Ask] = []
        for _ in range(connections):
            ask = HttpAsk(endpoint)
            stack.push_async_callback(ask.end)
            await ask.begin()
            asks.append(ask)
        yield asks


def message(method: str, params: dict[str, Any], number: int | None) -> bytes:
    """A request, or without a number a notification."""
    head = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(head if number is None else {**head, "id": number}).encode()


def check_answer(answer: bytes) -> None:
    """Look for a result in the text: to model each answer would be this side's time, not the gateway's.

    Raises:
        RuntimeError: there is none.
    """
    if b'"content"' not in answer or b'"isError":true' in answer.replace(b'": ', b'":'):
        raise RuntimeError(f"no result: {answer[:500]!r}")


@asynccontextmanager
async def piped_asks(command: Sequence[str], callers: int) -> AsyncIterator[list[Ask]]:
    """Calls of a server that runs as this process's child, with nothing between; all share its streams."""
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    piped = _Piped(child.stdin, child.stdout)
    reader = asyncio.create_task(piped.read())
    try:
        yield [piped.call] * callers
    finally:
        child.stdin.close()
        async with asyncio.timeout(CLOSE_SECONDS):
            await child.wait()
        await reader


class _Piped:
    """Requests under way on one child's streams."""

    def __init__(self, to: asyncio.StreamWriter, source: asyncio.StreamReader) -> None:
        self._to, self._from = to, source
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    async def call(self) -> None:
        """One call and its answer."""
        number = next(self._ids)
        params = {"name": "echo0", "arguments": {}}
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._to.write(message("tools/call", params, number) + b"\n")
        check_answer(await answer)

    async def read(self) -> None:
        """Hand out the answers until the stream ends."""
        async for line in self._from:
            self._waiting.pop(json.loads(line)["id"]).set_result(line)
