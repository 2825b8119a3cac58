from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import mcp_types as types
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import MCPError

from muxi_runtime.gateway.wire_errors import SANDBOX_FAILED, SERVER_FAILED

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home") as opened:
        yield opened


@ERAS
async def test_a_client_of_either_era_lists_and_calls(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"demo__echo", "muxi__task_new"} <= names
        result = await client.call_tool("demo__echo", {"text": "hello"})
        assert (result.content[0].text, result.is_error) == ("hello", False)
        assert client.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]


@ERAS
async def test_one_servers_endpoint_shows_its_tools_without_prefix(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode, url=f"{gateway.url}/demo") as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "echo" in names
        assert not any("__" in name for name in names)
        assert (await client.call_tool("echo", {"text": "x"})).content[0].text == "x"


@ERAS
async def test_progress_arrives_in_order(gateway: Gateway, mode: str):
    heard: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total == 3
        heard.append((progress, message))

    async with gateway.client(mode=mode) as client:
        await client.call_tool("demo__progress", {}, progress_callback=note)
    assert heard == [(1, "step 1"), (2, "step 2"), (3, "step 3")]


@ERAS
async def test_a_call_that_its_client_gives_up_is_cancelled_in_the_sandbox(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client, anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "demo__wait", {})
        with anyio.fail_after(10):
            await gateway.seen["waiting"].wait()
            group.cancel_scope.cancel()
    with anyio.fail_after(10):
        await gateway.seen["wait ended"].wait()


@ERAS
async def test_a_tools_own_error_is_its_result(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        result = await client.call_tool("demo__fail", {})
    assert result.is_error
    assert result.content[0].text == "the tool's own error"


@ERAS
async def test_a_servers_protocol_error_passes_unchanged(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__refuse")
    assert (refused.value.code, str(refused.value), refused.value.data) == (
        -32099,
        "the server's own refusal",
        {"why": "test"},
    )


@ERAS
@pytest.mark.parametrize("name", ["nothing", "demo__nothing", "nowhere__echo", "muxi__nothing"])
async def test_an_unknown_tool_is_refused_with_what_there_is(gateway: Gateway, mode: str, name: str):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await call(client, name)
    assert refused.value.code == types.INVALID_PARAMS
    assert refused.value.data["kind"] == "unknown_tool"
    assert refused.value.data["remedy"]


async def test_arguments_nested_too_deep_are_refused(gateway: Gateway):
    value: object = 1
    for _ in range(80):
        value = [value]
    async with gateway.client() as client:
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__echo", text=value)
    assert refused.value.data["kind"] == "invalid_arguments"


@ERAS
async def test_a_sandbox_that_dies_in_mid_call_is_an_error_and_the_next_call_gets_a_new_one(
    gateway: Gateway, mode: str
):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError) as died:
            await call(client, "demo__crash")
        assert died.value.code == SANDBOX_FAILED
        assert died.value.data["exit_code"] == 3
        assert (await client.call_tool("demo__echo", {"text": "again"})).content[0].text == "again"


async def test_an_engine_that_stops_in_mid_call_is_an_error_and_the_runtime_keeps_serving(gateway: Gateway):
    async with gateway.client() as client, anyio.create_task_group() as group:
        errors: list[MCPError] = []

        async def wait() -> None:
            try:
                await client.call_tool("demo__wait", {})
            except MCPError as error:
                errors.append(error)

        group.start_soon(wait)
        with anyio.fail_after(10):
            await gateway.seen["waiting"].wait()
            await gateway.engine.stop()
    assert [error.data["cause"] for error in errors] == ["EngineUnavailable"]
    async with gateway.client() as client:
        assert (await client.list_tools()).tools
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__echo")
        assert refused.value.code == SANDBOX_FAILED
        await gateway.engine.restart()
        assert (await client.call_tool("demo__echo", {"text": "back"})).content[0].text == "back"


async def test_a_result_over_the_limit_is_not_passed_and_not_called_a_result(tmp_path: Path):
    limits = {"max_result_bytes": 2_000, "max_whole_result_bytes": 10_000}
    async with open_gateway(tmp_path / "home", **limits) as gateway, gateway.client() as client:
        assert (await client.call_tool("demo__huge", {"size": 9_000})).content
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__huge", size=11_000)
    assert refused.value.code == SERVER_FAILED
    assert "10000" in str(refused.value)


async def test_a_silent_tool_is_cut_off_after_the_set_time(tmp_path: Path):
    async with open_gateway(tmp_path / "home", call_seconds=0.3) as gateway, gateway.client() as client:
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__wait")
        assert refused.value.code == SERVER_FAILED
        with anyio.fail_after(10):
            await gateway.seen["wait ended"].wait()


@ERAS
async def test_a_changed_tool_list_is_told_and_listed(tmp_path: Path, mode: str):
    async with open_gateway(tmp_path / "home", pins=False) as gateway:
        await changed_tool_list(gateway, mode)


async def changed_tool_list(gateway: Gateway, mode: str) -> None:
    told = anyio.Event()

    async def note(message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            told.set()

    async with gateway.client(mode=mode, message_handler=note) as client, anyio.create_task_group() as group:
        if mode == "auto":
            group.start_soon(listen_for_tools, client, told)
        await client.list_tools()
        await client.call_tool("demo__grow", {})
        with anyio.fail_after(10):
            await told.wait()
        assert "demo__grown" in {tool.name for tool in (await client.list_tools()).tools}
        group.cancel_scope.cancel()


async def listen_for_tools(client, told: anyio.Event) -> None:
    async with client.listen(tools_list_changed=True) as events:
        async for _ in events:
            told.set()


async def call(client, name: str, **arguments: object) -> object:
    """One call as one statement: what a test expects to be refused."""
    return await client.call_tool(name, arguments)
