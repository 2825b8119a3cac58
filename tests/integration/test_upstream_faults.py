"""What servers and clients do wrong is theirs: the error is clear, and nobody else notices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from faulty_server import FAULTS, FaultyServer
from fixture_servers import serve_app
from gateway_harness import DEMO, Gateway, open_gateway
from mcp import MCPError

from muxi_runtime.gateway.wire_errors import SANDBOX_FAILED, SERVER_FAILED

IMAGE = "faulty@sha256:0"
SECONDS = 2
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@pytest.fixture
def faulty() -> FaultyServer:
    return FaultyServer()


@pytest.fixture(params=["sandbox", "http"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path, faulty: FaultyServer) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        manifest: dict[str, Any] = {"image": IMAGE}
        if request.param == "http":
            manifest = {"url": await stack.enter_async_context(serve_app(faulty.app()))}
        yield await stack.enter_async_context(
            open_gateway(
                tmp_path / "home",
                manifests={"faulty": manifest, "demo": DEMO},
                programs={IMAGE: faulty.program},
                call_seconds=SECONDS,
            )
        )


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_servers_fault_is_told_and_stays_its_own(gateway: Gateway, fault: str):
    async with gateway.client() as client, gateway.client(mode="legacy") as other:
        await other.call_tool("demo__keep", {"text": "kept"})
        failed: list[MCPError] = []

        async def fail() -> None:
            with pytest.raises(MCPError) as caught:
                await client.call_tool(f"faulty__{fault}", {})
            failed.append(caught.value)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                assert (await other.call_tool("demo__echo", {"text": "meanwhile"})).content[0].text == "meanwhile"
        assert failed[0].code in (SANDBOX_FAILED, SERVER_FAILED), failed[0]
        assert "'faulty'" in str(failed[0])
        assert (await other.call_tool("demo__keep", {"text": "on"})).content[0].text == "kept,on"
        assert (await client.call_tool("faulty__fine", {})).content[0].text == "fine"
        assert (await other.call_tool("faulty__fine", {})).content[0].text == "fine"


async def test_a_slow_server_keeps_nobody_else_waiting(gateway: Gateway, faulty: FaultyServer):
    async with gateway.client() as client, anyio.create_task_group() as group:
        ended = anyio.Event()

        async def call() -> None:
            assert (await client.call_tool("faulty__slow", {})).content[0].text == "fine"
            ended.set()

        group.start_soon(call)
        with anyio.fail_after(10):
            await faulty.slow.wait()
            assert (await client.call_tool("demo__echo", {"text": "quick"})).content[0].text == "quick"
            assert (await client.call_tool("faulty__fine", {})).content[0].text == "fine"
            assert not ended.is_set()
            faulty.release.set()
            await ended.wait()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_that_its_client_gives_up_is_cancelled_at_the_server(
    gateway: Gateway, faulty: FaultyServer, mode: str
):
    async with gateway.client(mode=mode) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "faulty__slow", {})
            await faulty.slow.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            await faulty.cancelled.wait()
        assert (await client.call_tool("faulty__fine", {})).content[0].text == "fine"


async def test_a_modern_client_that_disappears_has_cancelled_its_call(gateway: Gateway, faulty: FaultyServer):
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "faulty__slow"}
    meta = {
        types.PROTOCOL_VERSION_META_KEY: "2026-07-28",
        types.CLIENT_INFO_META_KEY: {"name": "hand", "version": "1"},
        types.CLIENT_CAPABILITIES_META_KEY: {},
    }
    params = {"name": "faulty__slow", "arguments": {}, "_meta": meta}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with gateway.http() as http, anyio.create_task_group() as group:
        group.start_soon(partial(http.post, "/mcp", json=call, headers={**HEADERS, **headers}))
        with anyio.fail_after(10):
            await faulty.slow.wait()
        group.cancel_scope.cancel()
    with anyio.fail_after(10):
        await faulty.cancelled.wait()
    async with gateway.client() as client:
        assert (await client.call_tool("faulty__fine", {})).content[0].text == "fine"


class LegacySession:
    """By hand, so that its connections can be broken."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.headers = dict(HEADERS)

    async def open(self) -> None:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}}
        asked = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
        answer = await self.http.post("/mcp", json=asked, headers=self.headers)
        self.headers |= {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self.http.post("/mcp", json=done, headers=self.headers)

    async def call_and_leave(self, tool: str) -> str:
        """Make a call, and break its connection at the first event, whose id is given."""
        params = {"name": tool, "arguments": {}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        async with self.http.stream("POST", "/mcp", json=call, headers=self.headers) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id:"):
                    return line.removeprefix("id:").strip()
        raise AssertionError("no event came")

    async def resume(self, last: str) -> dict[str, Any]:
        """The first message that comes after that event."""
        headers = {**self.headers, "accept": "text/event-stream", "last-event-id": last}
        with anyio.fail_after(10):
            async with self.http.stream("GET", "/mcp", headers=headers) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data:") and len(line) > len("data: "):
                        found: dict[str, Any] = json.loads(line.removeprefix("data:"))
                        return found
        raise AssertionError("nothing came")


@pytest.mark.parametrize("answered", ["before", "after"])
async def test_a_legacy_client_that_comes_back_gets_its_answer(gateway: Gateway, faulty: FaultyServer, answered: str):
    async with gateway.http() as http, gateway.client() as client:
        session = LegacySession(http)
        await session.open()
        last = await session.call_and_leave("faulty__slow")
        with anyio.fail_after(10):
            await faulty.slow.wait()
        if answered == "before":
            async with gateway.runtime.journal.listen() as events:
                faulty.release.set()
                async for event in events:
                    if event.kind == "call.finished":
                        break
            result = await session.resume(last)
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(_release_later, client, faulty)
                result = await session.resume(last)
        assert result["result"]["content"][0]["text"] == "fine"


async def _release_later(client: Any, faulty: FaultyServer) -> None:
    await client.call_tool("demo__echo", {"text": "meanwhile"})
    faulty.release.set()


async def test_nobody_resumes_the_stream_of_another_session(gateway: Gateway, faulty: FaultyServer):
    async with gateway.http() as http, gateway.http() as elsewhere:
        mine, theirs = LegacySession(http), LegacySession(elsewhere)
        await mine.open()
        await theirs.open()
        last = await mine.call_and_leave("faulty__slow")
        faulty.release.set()
        for event in (last, "0" * 32):
            refused = await theirs.resume(event)
            assert "nothing to resume" in refused["error"]["message"]
        assert (await mine.resume(last))["result"]["content"][0]["text"] == "fine"
