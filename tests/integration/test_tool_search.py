"""Two tools in front of all others: what they find and call is what would be called by its own name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import Client, MCPError

from muxi_runtime.gateway.client import call_tool
from muxi_runtime.gateway.wire_errors import DENIED
from muxi_runtime.journal.contract import Event
from muxi_runtime.journal.read import Query, search
from muxi_runtime.store.engine import open_store

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
RULES = """
@id("everything") permit (principal, action, resource);
@id("ask-for-danger") @decision("ask") @reason("It is dangerous.")
forbid (principal, action, resource) when { resource.name == "danger" };
@id("never-huge") @reason("It is too much.") forbid (principal, action, resource) when { resource.name == "huge" };
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", rules=RULES) as opened:
        yield opened


def by_search(gateway: Gateway, path: str = "") -> str:
    return f"{gateway.url}{path}?tools=search"


async def call(client: Client, name: str, **arguments: Any) -> Any:
    return await client.call_tool("tools_call", {"name": name, "arguments": arguments})


def events(home: Path, kind: str) -> list[Event]:
    engine = open_store(home)
    try:
        return list(search(engine, Query(kind=kind)))
    finally:
        engine.dispose()


@ERAS
async def test_a_client_is_shown_two_tools_finds_others_and_calls_them(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode, url=by_search(gateway)) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(listed) == {"tools_search", "tools_call"}
        assert "muxi, demo" in (listed["tools_search"].description or "")
        found = (await client.call_tool("tools_search", {"query": "echo"})).structured_content
        assert found["tools"][0] == {
            "name": "demo__echo",
            "description": "the tool echo",
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True},
        }
        result = await call(client, found["tools"][0]["name"], text="hello")
        assert (result.content[0].text, result.is_error) == ("hello", False)
        assert (await client.call_tool("demo__echo", {"text": "by its own name"})).content[0].text == "by its own name"


@ERAS
async def test_one_servers_tools_are_found_and_called_without_prefix(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode, url=by_search(gateway, "/demo")) as client:
        found = (await client.call_tool("tools_search", {"query": "", "limit": 20})).structured_content
        assert {tool["name"] for tool in found["tools"]} >= {"echo", "danger"}
        assert not any("task" in tool["name"] for tool in found["tools"])
        assert found["found"] == found["offered"] == len(found["tools"])
        assert (await call(client, "echo", text="x")).content[0].text == "x"


async def test_the_setting_is_for_all_clients_and_the_url_for_one(tmp_path: Path):
    async with open_gateway(tmp_path / "home", tools="search") as gateway:
        async with gateway.client() as client:
            assert len((await client.list_tools()).tools) == 2
        async with gateway.client(url=f"{gateway.url}?tools=all") as client:
            assert "demo__echo" in {tool.name for tool in (await client.list_tools()).tools}
            with pytest.raises(MCPError, match="no tool 'tools_call'"):
                await call(client, "demo__echo")


async def test_the_command_line_calls_as_ever(tmp_path: Path):
    async with open_gateway(tmp_path / "home", tools="search") as gateway:
        result = await call_tool(gateway.url, None, "demo__echo", {"text": "as ever"})
    assert result["content"][0]["text"] == "as ever"


@pytest.mark.parametrize("query", ["tools=none", "tools=", "tools=all&tools=search"])
async def test_a_way_of_showing_tools_that_is_not_there_is_400(gateway: Gateway, query: str):
    async with gateway.http() as http:
        answer = await http.post(f"/mcp?{query}", json={})
    assert (answer.status_code, answer.json()["error"]) == (400, "unknown_mode")


@ERAS
async def test_the_policy_decides_the_tool_that_is_called(gateway: Gateway, mode: str, tmp_path: Path):
    async with gateway.client(mode=mode, url=by_search(gateway)) as client:
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__huge", size=1)
    assert (refused.value.code, refused.value.data["rule"]) == (DENIED, "never-huge")
    decided = events(tmp_path / "home", "call.decided")
    assert [(event.data["server"], event.data["tool"], event.data["rule"]) for event in decided] == [
        ("demo", "huge", "never-huge")
    ]


@ERAS
async def test_the_journal_tells_of_the_tool_as_if_called_by_its_own_name(gateway: Gateway, mode: str, tmp_path: Path):
    async with gateway.client(mode=mode, url=by_search(gateway)) as client:
        await call(client, "demo__echo", text="x")
        await client.call_tool("demo__echo", {"text": "x"})
        await client.call_tool("tools_search", {"query": "echo"})
    told = events(tmp_path / "home", "call")
    assert [event.kind for event in told] == ["call.decided", "call.finished"] * 2
    # The first of them has labelled the task.
    first, second = ({**event.data, "seconds": 0, "labels": []} for event in told if event.kind == "call.decided")
    assert first == second
    assert (first["server"], first["tool"]) == ("demo", "echo")


@pytest.mark.promise("an-approval-counts-once")
@ERAS
async def test_a_person_is_asked_about_the_tool_itself(gateway: Gateway, mode: str):
    asked: list[str] = []

    async def person(_context: object, params: types.ElicitRequestFormParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"allow": True})

    async with gateway.client(mode=mode, url=by_search(gateway), elicitation_callback=person) as client:
        await call(client, "demo__danger", target="x")
        await call(client, "demo__danger", target="x")
    assert gateway.seen["danger"] == len(asked) == 2
    assert all(text.startswith('Allow demo__danger with {"target": "x"}?') for text in asked)


@pytest.mark.promise("an-approval-counts-once")
async def test_an_answer_is_for_the_tool_and_arguments_that_were_asked_about(gateway: Gateway):
    async def nobody(*_: object) -> types.ElicitResult:
        raise AssertionError

    async with gateway.client(url=by_search(gateway), elicitation_callback=nobody) as client:
        first = await client.session.call_tool(
            "tools_call", {"name": "demo__danger", "arguments": {"n": 1}}, allow_input_required=True
        )
        assert isinstance(first, types.InputRequiredResult)
        with pytest.raises(MCPError):
            await client.session.call_tool(
                "tools_call",
                {"name": "demo__danger", "arguments": {"n": 2}},
                allow_input_required=True,
                request_state=first.request_state,
                input_responses={"muxi-approval": types.ElicitResult(action="accept", content={"allow": True})},
            )
    assert "danger" not in gateway.seen


@ERAS
async def test_progress_and_cancellation_reach_the_tool(gateway: Gateway, mode: str):
    heard: list[tuple[float, str | None]] = []

    async def note(progress: float, _total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with gateway.client(mode=mode, url=by_search(gateway)) as client:
        await client.call_tool("tools_call", {"name": "demo__progress"}, progress_callback=note)
        assert heard == [(1, "step 1"), (2, "step 2"), (3, "step 3")]
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "tools_call", {"name": "demo__wait"})
            with anyio.fail_after(10):
                await gateway.seen["waiting"].wait()
            group.cancel_scope.cancel()
    with anyio.fail_after(10):
        await gateway.seen["wait ended"].wait()


@ERAS
@pytest.mark.parametrize(
    ("tool", "arguments", "kind"),
    [
        ("tools_search", {}, "invalid_arguments"),
        ("tools_search", {"query": "x" * 501}, "invalid_arguments"),
        ("tools_search", {"query": "x", "limit": 0}, "invalid_arguments"),
        ("tools_call", {}, "invalid_arguments"),
        ("tools_call", {"name": "demo__echo", "arguments": [1]}, "invalid_arguments"),
        ("tools_call", {"name": "demo__echo", "text": "x"}, "invalid_arguments"),
        ("tools_call", {"name": "muxi__task_end"}, "invalid_arguments"),
        ("tools_call", {"name": "demo__nothing"}, "unknown_tool"),
        ("tools_call", {"name": "tools_call", "arguments": {"name": "demo__echo"}}, "unknown_tool"),
        ("tools_call", {"name": "muxi__task_end", "arguments": {"task": "t-other"}}, "unknown_task"),
    ],
)
async def test_what_does_not_fit_is_refused(
    gateway: Gateway, mode: str, tool: str, arguments: dict[str, Any], kind: str
):
    async with gateway.client(mode=mode, url=by_search(gateway)) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool(tool, arguments)
    assert refused.value.data["kind"] == kind


async def test_tools_that_come_later_are_found(tmp_path: Path):
    async with open_gateway(tmp_path / "home", pins=False) as gateway, gateway.client(url=by_search(gateway)) as client:
        assert (await client.call_tool("tools_search", {"query": "grown"})).structured_content["found"] == 0
        changed = anyio.Event()
        gateway.runtime.tools.on_change(changed.set)
        await call(client, "demo__grow")
        with anyio.fail_after(10):
            await changed.wait()
        assert (await client.call_tool("tools_search", {"query": "grown"})).structured_content["found"] == 1
        assert (await call(client, "muxi__task_list")).structured_content.keys() == {"tasks"}


async def test_definitions_beyond_measure_are_named_without_their_schemas(gateway: Gateway):
    schema = {"type": "object", "description": "x" * 40_000}
    gateway.runtime.tools.set_tools(
        "large", [{"name": f"t{number}", "description": "y" * 1_000, "inputSchema": schema} for number in range(3)]
    )
    async with gateway.client(url=by_search(gateway)) as client:
        result = await client.call_tool("tools_search", {"query": "large"})
    found = result.structured_content
    assert [tool.get("shortened", False) for tool in found["tools"]] == [False, True, True]
    assert json.loads(result.content[0].text) == found
    assert len(result.content[0].text) < 70_000
