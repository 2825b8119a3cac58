"""Everything beside plain tool calls, in each pair of eras, over a sandbox's streams and over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from fixture_servers import IMAGE, fixture_program, serve_fixture
from gateway_harness import Gateway, open_gateway
from mcp import Client, MCPError

from conformance_mcp.server import Fixture
from muxi_runtime.journal.contract import Event

CLIENTS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern-client", "legacy-client"])
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
STATIC = "test://static-text"
WATCHED = "test://watched-resource"


@pytest.fixture(params=["sandbox-modern", "sandbox-legacy", "http-modern", "http-legacy"])
async def gateway(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    transport, _, era = request.param.partition("-")
    fixtures: list[Fixture] = []
    if transport == "sandbox":
        async with open_gateway(
            tmp_path / "home",
            manifests={"fix": {"image": IMAGE}},
            programs={IMAGE: fixture_program(era, fixtures)},
        ) as opened:
            opened.seen["fixtures"] = fixtures
            yield opened
        return
    async with (
        serve_fixture(era) as served,
        open_gateway(tmp_path / "home", manifests={"fix": {"url": served.url}}) as opened,
    ):
        opened.seen["fixtures"] = [served.fixture]
        yield opened


async def elicit(_context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    fields = params.requested_schema["properties"]
    values = {"name": "Ada", "color": "blue", "ok": True, "context": "none", "username": "ada", "email": "a@b.c"}
    return types.ElicitResult(action="accept", content={key: values[key] for key in fields})


async def sample(_context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    content = types.TextContent(type="text", text=f"sampled {params.max_tokens}")
    return types.CreateMessageResult(role="assistant", content=content, model="test")


async def roots(_context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///here")])


ABLE = {"elicitation_callback": elicit, "sampling_callback": sample, "list_roots_callback": roots}


def first(result: types.CallToolResult) -> str:
    return result.content[0].text


@CLIENTS
async def test_resources_are_listed_and_read(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        listed = (await client.list_resources()).resources
        assert {str(resource.uri) for resource in listed} >= {STATIC, "test://static-binary"}
        assert {resource.meta["muxi/server"] for resource in listed} == {"fix"}
        templates = (await client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == ["test://template/{id}/data"]
        assert "static text" in (await client.read_resource(STATIC)).contents[0].text
        assert '"7"' in (await client.read_resource("test://template/7/data")).contents[0].text


@CLIENTS
async def test_prompts_are_listed_got_and_completed(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        names = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert "fix__test_prompt_with_arguments" in names
        got = await client.get_prompt("fix__test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        assert got.messages[0].content.text == "Prompt with arguments: arg1='a', arg2='b'"
        ref = types.PromptReference(type="ref/prompt", name="fix__test_prompt_with_arguments")
        done = await client.complete(ref, {"name": "arg1", "value": "par"})
        assert done.completion.values == ["paris", "park", "party"]


@CLIENTS
async def test_one_servers_endpoint_shows_them_as_they_are(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode, url=f"{gateway.url}/fix") as client:
        assert "test_simple_prompt" in {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert not any(resource.meta for resource in (await client.list_resources()).resources)
        assert (await client.get_prompt("test_simple_prompt")).messages


@CLIENTS
@pytest.mark.parametrize("uri", ["test://nowhere", "file:///etc/passwd"])
async def test_a_resource_of_nobody_is_refused(gateway: Gateway, mode: str, uri: str):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)
    assert (refused.value.code, refused.value.data) == (types.INVALID_PARAMS, {"uri": uri})


@CLIENTS
@pytest.mark.parametrize(
    ("tool", "answer"),
    [
        ("test_input_required_result_elicitation", "Hello, Ada!"),
        ("test_input_required_result_sampling", "sampled 100"),
        ("test_input_required_result_list_roots", "file:///here"),
        ("test_input_required_result_multiple_inputs", "client_roots, greeting, user_name"),
        ("test_input_required_result_multi_round", "Ada likes blue"),
        ("test_input_required_result_request_state", "state-ok"),
    ],
)
async def test_a_servers_questions_reach_the_client_and_the_answers_the_server(
    gateway: Gateway, mode: str, tool: str, answer: str
):
    async with gateway.client(mode=mode, **ABLE) as client:
        assert first(await client.call_tool(f"fix__{tool}", {})) == answer


@CLIENTS
async def test_a_prompt_may_ask_too(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode, **ABLE) as client:
        got = await client.get_prompt("fix__test_input_required_result_prompt")
    assert got.messages[0].content.text == "Context: none"


@CLIENTS
async def test_calls_that_ask_at_the_same_time_get_their_own_answers(gateway: Gateway, mode: str):
    found: dict[int, str] = {}

    async def call(client: Client, number: int) -> None:
        tool = ("test_input_required_result_elicitation", "test_input_required_result_sampling")[number % 2]
        found[number] = first(await client.call_tool(f"fix__{tool}", {}))

    async with gateway.client(mode=mode, **ABLE) as client:
        await call(client, 0)  # the first one tells that this server asks
        async with anyio.create_task_group() as group:
            for number in range(1, 7):
                group.start_soon(call, client, number)
    assert [found[number] for number in range(1, 7)] == ["sampled 100", "Hello, Ada!"] * 3


@CLIENTS
async def test_a_client_that_cannot_be_asked_is_not(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError):
            await client.call_tool("fix__test_input_required_result_elicitation", {})
        assert first(await client.call_tool("fix__test_simple_text", {}))


@CLIENTS
async def test_only_what_the_client_declares_is_asked(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode, sampling_callback=sample) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("fix__test_input_required_result_elicitation", {})
        assert first(await client.call_tool("fix__test_input_required_result_sampling", {})) == "sampled 100"
    assert refused.value.code


@CLIENTS
async def test_log_messages_arrive_from_the_level_on_that_was_asked_for(gateway: Gateway, mode: str):
    heard: list[object] = []

    async def note(params: types.LoggingMessageNotificationParams) -> None:
        heard.append(params.data)

    async with gateway.client(mode=mode, logging_callback=note, log_level="info") as client:
        await client.call_tool("fix__test_tool_with_logging", {})
    assert heard == ["Tool execution started", "Tool processing data", "Tool execution completed"]


async def test_a_legacy_client_sets_the_level(gateway: Gateway):
    heard: list[object] = []

    async def note(params: types.LoggingMessageNotificationParams) -> None:
        heard.append(params.data)

    async with gateway.client(mode="legacy", logging_callback=note) as client:
        await client.set_logging_level("error")
        await client.call_tool("fix__test_tool_with_logging", {})
    assert heard == []


async def test_a_legacy_client_that_subscribed_is_told(gateway: Gateway):
    told = anyio.Event()

    async def note(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            assert str(message.params.uri) == WATCHED
            told.set()

    async with gateway.client(mode="legacy", message_handler=note) as client:
        await client.subscribe_resource(WATCHED)
        await client.call_tool("fix__test_touch_resource", {})
        with anyio.fail_after(10):
            await told.wait()
        await client.unsubscribe_resource(WATCHED)


async def test_a_modern_client_that_listens_is_told(gateway: Gateway):
    async with gateway.client() as client, client.listen(resource_subscriptions=[WATCHED]) as events:
        await client.call_tool("fix__test_touch_resource", {})
        with anyio.fail_after(10):
            async for event in events:
                assert event.uri == WATCHED
                break


async def test_another_principal_is_not_told(gateway: Gateway):
    told = anyio.Event()
    _, key = gateway.runtime.keys.create("eve")

    async def listen(ready: anyio.Event) -> None:
        async with gateway.client(key=key) as eve, eve.listen(resource_subscriptions=["test://other"]) as events:
            ready.set()
            async for _ in events:
                told.set()

    async with anyio.create_task_group() as group, gateway.client() as client:
        ready = anyio.Event()
        group.start_soon(listen, ready)
        await ready.wait()
        async with client.listen(resource_subscriptions=[WATCHED]) as events:
            await client.call_tool("fix__test_touch_resource", {})
            with anyio.fail_after(10):
                async for _ in events:
                    break
        assert not told.is_set()
        group.cancel_scope.cancel()


async def test_a_rule_keeps_a_resource_and_a_prompt_from_being_got(tmp_path: Path):
    rules = """
    @id("all") permit (principal, action, resource);
    @id("no-text") forbid (principal, action == Action::"read_resource", resource == Resource::"fix.test://static-text");
    @id("no-prompt") forbid (principal, action == Action::"get_prompt", resource) when { resource.name like "*image" };
    """
    async with (
        open_gateway(
            tmp_path / "home",
            rules=rules,
            manifests={"fix": {"image": IMAGE}},
            programs={IMAGE: fixture_program("modern")},
        ) as gateway,
        gateway.client() as client,
    ):
        for attempt in (client.read_resource(STATIC), client.get_prompt("fix__test_prompt_with_image")):
            with pytest.raises(MCPError) as denied:
                await attempt
            assert denied.value.data["kind"] == "denied"
        assert (await client.read_resource(WATCHED)).contents


ASKING = "test_input_required_result_elicitation"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}


async def post(
    gateway: Gateway, *, key: str | None = None, path: str = "/mcp", name: str = f"fix__{ASKING}", **params: Any
) -> dict[str, Any]:
    """One modern call; the JSON-RPC answer."""
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": name,
    }
    sent = {"name": name, "arguments": {}, "_meta": META, **params}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": sent}
    async with gateway.http(key) as http:
        answer = await http.post(path, json=message, headers=headers)
    text = answer.text
    return json.loads(text.split("data: ", 1)[1].splitlines()[0] if "data: " in text else text)


def answering(result: dict[str, Any]) -> dict[str, Any]:
    """The params of a retry that answers all that a result asks."""
    accepted = {"action": "accept", "content": {"name": "Ada"}}
    responses = dict.fromkeys(result["inputRequests"], accepted)
    return {"inputResponses": responses, "requestState": result["requestState"]}


@asynccontextmanager
async def legacy_behind(tmp_path: Path, url: str = "", **settings: Any) -> AsyncIterator[Gateway]:
    programs = {IMAGE: fixture_program("legacy")}
    manifest = {"url": url} if url else {"image": IMAGE}
    manifests = {"fix": manifest, "other": manifest}
    async with open_gateway(tmp_path / "home", manifests=manifests, programs=programs, **settings) as gateway:
        yield gateway


@pytest.mark.parametrize("transport", ["sandbox", "http"])
async def test_a_held_call_goes_on_once_for_its_own_principal_at_its_own_path(tmp_path: Path, transport: str):
    async with (
        serve_fixture("legacy") as served,
        legacy_behind(tmp_path, served.url if transport == "http" else "") as gateway,
    ):
        _, ada = gateway.runtime.keys.create("ada")
        _, eve = gateway.runtime.keys.create("eve")
        asked = (await post(gateway, key=ada))["result"]
        retry = answering(asked)
        elsewhere = {"key": ada, "path": "/mcp/other", "name": ASKING}
        for stranger in ({"key": eve}, elsewhere, {"key": ada, "arguments": {"a": 1}}):
            assert (await post(gateway, **stranger, **retry))["error"]["code"] == types.INVALID_PARAMS
        assert (await post(gateway, key=ada, **retry))["result"]["content"][0]["text"] == "Hello, Ada!"
        assert (await post(gateway, key=ada, **retry))["error"]["code"] == types.INVALID_PARAMS


async def test_a_retry_without_the_answer_is_asked_again(tmp_path: Path):
    async with legacy_behind(tmp_path) as gateway:
        asked = (await post(gateway))["result"]
        again = (
            await post(gateway, inputResponses={"wrong": {"action": "decline"}}, requestState=asked["requestState"])
        )["result"]
        assert again["inputRequests"] == asked["inputRequests"]
        assert (await post(gateway, **answering(again)))["result"]["content"][0]["text"] == "Hello, Ada!"


async def test_a_client_that_stays_away_keeps_no_other_call_waiting_and_its_call_ends(tmp_path: Path):
    async with legacy_behind(tmp_path, question_seconds=1) as gateway, gateway.runtime.journal.listen() as events:
        asked = (await post(gateway))["result"]
        with anyio.fail_after(10):
            second = (await post(gateway))["result"]
            assert (await post(gateway, **answering(second)))["result"]["content"]
            await until_journalled(events, "call.failed")
        assert (await post(gateway, **answering(asked)))["error"]["code"] == types.INVALID_PARAMS


async def until_journalled(events: AsyncIterator[Event], kind: str) -> None:
    async for event in events:
        if event.kind == kind:
            return


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_an_approved_call_that_asks_is_approved_once(tmp_path: Path, era: str):
    rules = """
    @id("all") permit (principal, action, resource);
    @id("ask") @decision("ask") @reason("test") forbid (principal, action == Action::"call_tool", resource);
    """
    manifests, programs = {"fix": {"image": IMAGE}}, {IMAGE: fixture_program(era)}
    async with open_gateway(tmp_path / era, rules=rules, manifests=manifests, programs=programs) as gateway:
        approval = (await post(gateway))["result"]
        allow = {"action": "accept", "content": {"allow": True}}
        state = approval["requestState"]
        asked = (await post(gateway, inputResponses={"muxi-approval": allow}, requestState=state))["result"]
        assert "muxi-approval" not in asked["inputRequests"]
        done = await post(gateway, **answering(asked))
        assert done["result"]["content"][0]["text"] == "Hello, Ada!"
        if era == "modern":  # the approval is used up: the same state asks for another
            assert "muxi-approval" in (await post(gateway, **answering(asked)))["result"]["inputRequests"]
