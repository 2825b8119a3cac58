"""Two callers at one gateway: nothing of one reaches the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import Client, MCPError

from muxi_runtime.journal.contract import Event

pytestmark = pytest.mark.promise("one-task-cannot-see-another")

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home") as opened:
        yield opened


async def key_of(gateway: Gateway, user: str) -> str:
    return (await anyio.to_thread.run_sync(gateway.runtime.keys.create, user))[1]


async def keep(client: Client, text: str, **options: Any) -> str:
    return (await client.call_tool("demo__keep", {"text": text}, **options)).content[0].text


async def call(client: Client, name: str, **arguments: object) -> Any:
    return await client.call_tool(name, arguments)


@ERAS
async def test_two_users_never_share_a_sandbox(gateway: Gateway, mode: str):
    async with (
        gateway.client(mode=mode, key=await key_of(gateway, "ada")) as ada,
        gateway.client(mode=mode, key=await key_of(gateway, "bob")) as bob,
    ):
        assert await keep(ada, "a") == "a"
        assert await keep(bob, "b") == "b"
        assert await keep(ada, "c") == "a,c"


async def test_two_legacy_sessions_of_one_user_are_two_tasks(gateway: Gateway):
    async with gateway.client(mode="legacy") as one, gateway.client(mode="legacy") as two:
        assert await keep(one, "a") == "a"
        assert await keep(two, "b") == "b"


async def test_a_modern_client_keeps_its_default_task_from_call_to_call(gateway: Gateway):
    async with gateway.client() as one:
        assert await keep(one, "a") == "a"
    async with gateway.client() as two:
        assert await keep(two, "b") == "a,b"


@ERAS
async def test_a_named_task_is_used_by_meta_and_by_header(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        task = (await client.call_tool("muxi__task_new", {})).structured_content["task"]
        assert await keep(client, "default") == "default"
        assert await keep(client, "a", meta={"muxi/task": task}) == "a"
    async with gateway.client(mode=mode, headers={"Muxi-Task": task}) as other:
        assert await keep(other, "b") == "a,b"


@ERAS
async def test_another_users_task_cannot_be_named_nor_ended_nor_seen(gateway: Gateway, mode: str):
    ada_key, bob_key = await key_of(gateway, "ada"), await key_of(gateway, "bob")
    async with gateway.client(mode=mode, key=ada_key) as ada:
        task = (await ada.call_tool("muxi__task_new", {})).structured_content["task"]
        async with gateway.client(mode=mode, key=bob_key, headers={"Muxi-Task": task}) as bob:
            with pytest.raises(MCPError) as refused:
                await keep(bob, "mine now")
            assert refused.value.data["kind"] == "unknown_task"
            with pytest.raises(MCPError):
                await call(bob, "muxi__task_end", task=task)
            assert task not in str((await bob.call_tool("muxi__task_list", {})).structured_content)
        async with gateway.http(bob_key) as http:
            assert task not in (await http.get("/control/tasks")).text
            assert (await http.delete(f"/control/tasks/{task}")).status_code == 404
        assert await keep(ada, "still here", meta={"muxi/task": task}) == "still here"


async def test_a_legacy_session_works_with_the_key_that_opened_it_only(gateway: Gateway):
    ada_key, bob_key = await key_of(gateway, "ada"), await key_of(gateway, "bob")
    opening = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    accept = {"accept": "application/json, text/event-stream"}
    async with gateway.http(ada_key, accept) as ada:
        session = (await ada.post("/mcp", json=opening)).headers["mcp-session-id"]
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    for key in (bob_key, None):
        async with gateway.http(key, {**accept, "mcp-session-id": session}) as thief:
            assert (await thief.post("/mcp", json=ping)).status_code == 404
            assert (await thief.delete("/mcp")).status_code == 404


async def test_a_session_that_is_closed_takes_its_sandboxes_along(gateway: Gateway):
    async with gateway.runtime.journal.listen() as events:
        async with gateway.client(mode="legacy") as client:
            await keep(client, "a")
            assert len(gateway.engine.running) == 1
        await until(events, "task.ended")
    assert not gateway.engine.running
    assert not gateway.engine.workspaces
    assert gateway.runtime.tasks.all() == []


async def test_a_task_that_nobody_uses_ends(tmp_path: Path):
    async with open_gateway(tmp_path / "home", idle_task_seconds=0.2) as gateway, gateway.client() as client:
        async with gateway.runtime.journal.listen() as events:
            await keep(client, "a")
            await until(events, "task.ended")
        assert not gateway.engine.running
        assert not gateway.engine.workspaces
        assert await keep(client, "b") == "b"


async def until(events: AsyncIterator[Event], kind: str) -> None:
    with anyio.fail_after(10):
        async for event in events:
            if event.kind == kind:
                return


async def test_ending_a_task_ends_the_call_in_it_with_the_reason(gateway: Gateway):
    async with gateway.client() as client:
        task = (await client.call_tool("muxi__task_new", {})).structured_content["task"]
        errors: list[MCPError] = []

        async def wait() -> None:
            try:
                await client.call_tool("demo__wait", {}, meta={"muxi/task": task})
            except MCPError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            with anyio.fail_after(10):
                await gateway.seen["waiting"].wait()
                await client.call_tool("muxi__task_end", {"task": task})
        assert "was ended" in str(errors[0])
        assert errors[0].data["kind"] == "server"


async def test_too_many_tasks_are_refused_with_what_to_do(tmp_path: Path):
    async with open_gateway(tmp_path / "home", max_tasks_per_principal=2) as gateway, gateway.client() as client:
        await client.call_tool("muxi__task_new", {})
        await client.call_tool("muxi__task_new", {})
        with pytest.raises(MCPError, match="task_end"):
            await call(client, "muxi__task_new")
