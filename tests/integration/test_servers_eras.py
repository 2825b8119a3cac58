"""The guest servers and the SDK's own client, in both eras. The client checks every result against its schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from servers_harness import SERVERS, is_alive, local, read_if_there, text_of, until

ERAS = {"auto": "2026-07-28", "legacy": "2025-11-25"}


@pytest.fixture(params=list(ERAS))
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def code(mode: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(local("code", tmp_path), mode=mode) as client:
        yield client


@pytest.mark.parametrize("name", SERVERS)
async def test_a_client_connects_and_lists_declared_tools(name: str, mode: str, tmp_path: Path) -> None:
    async with Client(local(name, tmp_path), mode=mode) as client:
        assert client.protocol_version == ERAS[mode]
        assert client.server_info
        assert client.server_info.name == f"muxi-{name}"
        assert client.instructions
        tools = (await client.list_tools()).tools
        assert tools
        for tool in tools:
            assert tool.title
            assert tool.description
            assert tool.output_schema
            assert tool.input_schema["additionalProperties"] is False
            assert tool.annotations
            assert tool.annotations.open_world_hint is False
            assert tool.annotations.read_only_hint is not None
            assert tool.annotations.destructive_hint is not None
            assert tool.annotations.idempotent_hint is not None


async def test_what_only_looks_says_so(mode: str, tmp_path: Path) -> None:
    async with Client(local("files", tmp_path), mode=mode) as client:
        tools = (await client.list_tools()).tools
    looking = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert looking == {"read", "stat", "list", "tree", "find", "grep"}
    destroying = {tool.name for tool in tools if tool.annotations and tool.annotations.destructive_hint}
    assert destroying == {"write", "edit", "move", "copy", "delete"}


async def test_a_call_gives_text_and_structured_content(code: Client) -> None:
    result = await code.call_tool("run", {"language": "python", "code": "print('hello')"})
    assert not result.is_error
    assert result.structured_content
    assert result.structured_content["stdout"] == "hello\n"
    assert result.structured_content["exit_code"] == 0
    assert text_of(result).startswith("hello\n")


async def test_progress_reaches_the_callback(code: Client) -> None:
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - as called
        told.append(message)

    await code.call_tool("run", {"language": "bash", "code": "echo one"}, progress_callback=note)
    await until(lambda: told)
    assert told == ["one\n"]


async def test_a_client_that_gives_up_ends_the_program(code: Client, tmp_path: Path) -> None:
    async def run() -> None:
        await code.call_tool("run", {"language": "bash", "code": "echo $$ > pid; sleep 1000"})

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await until(lambda: read_if_there(tmp_path / "pid"))
        group.cancel_scope.cancel()
    pid = read_if_there(tmp_path / "pid")
    await until(lambda: not is_alive(pid))


async def test_an_unknown_tool_is_an_error_that_names_the_known_ones(code: Client) -> None:
    with pytest.raises(MCPError, match="there are: run, session_run"):
        await code.call_tool("nope", {})


async def test_calls_at_once_do_not_mix(code: Client) -> None:
    results: dict[int, Any] = {}

    async def run(number: int) -> None:
        result = await code.call_tool("run", {"language": "bash", "code": f"echo {number}"})
        results[number] = result.structured_content and result.structured_content["stdout"]

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(run, number)
    assert results == {number: f"{number}\n" for number in range(12)}
