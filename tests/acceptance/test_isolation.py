"""Two clients at once, on real sandboxes: neither sees the other's files, processes or results."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp import Client
from running import Running

pytestmark = [pytest.mark.timeout(180), pytest.mark.promise("one-task-cannot-see-another")]


async def shell(client: Client, command: str) -> str:
    result: Any = await client.call_tool("shell__run", {"command": command})
    return result.structured_content["stdout"]


@pytest.mark.parametrize("mode", ["legacy"])
async def test_two_clients_at_once_see_nothing_of_each_other(shared_runtime: Running, mode: str):
    async with shared_runtime.client(mode=mode) as ada, shared_runtime.client(mode=mode) as bob:
        results: dict[str, str] = {}

        async def work(name: str, client: Client) -> None:
            await client.call_tool("files__write", {"path": "secret.txt", "content": name})
            await client.call_tool("shell__process_start", {"command": f"exec -a marker-{name} sleep 300"})
            results[name] = await shell(client, "cat secret.txt; ls; ps -eo args; ls /tmp")

        async with anyio.create_task_group() as group:
            group.start_soon(work, "ada", ada)
            group.start_soon(work, "bob", bob)
        for mine, theirs in (("ada", "bob"), ("bob", "ada")):
            assert results[mine].startswith(mine)
            assert f"marker-{mine}" in results[mine]
            assert theirs not in results[mine]

        await bob.call_tool("files__delete", {"path": "secret.txt"})
        assert await shell(ada, "cat secret.txt") == "ada"
