"""A running gateway whose rules change on disk."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import Client, MCPError

from muxi_runtime.journal.contract import Event

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ALL = '@id("all") @reason("Anything goes.") permit (principal, action, resource);\n'
NO_ECHO = '@id("no-echo") @reason("Not now.") forbid (principal, action, resource == Tool::"demo.echo");\n'


async def answer(client: Client) -> str:
    try:
        result = await client.call_tool("demo__echo", {"text": "3"})
    except MCPError as error:
        return error.message
    return result.content[0].text


async def event(gateway: Gateway, kind: str, change: Path, text: str) -> Event:
    """The next event of that kind, after the file was changed."""
    async with gateway.runtime.journal.listen() as events:
        await anyio.Path(change).write_text(text)
        with anyio.fail_after(20):
            async for found in events:
                if found.kind == kind:
                    return found
    pytest.fail("the journal ended")


async def test_a_changed_file_is_taken_while_running_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    rules = tmp_path / "home" / "rules.cedar"
    async with open_gateway(tmp_path / "home", rules=ALL) as gateway, gateway.client() as client:
        assert await answer(client) == "3"
        loaded = await event(gateway, "policy.loaded", rules, ALL + NO_ECHO)
        assert (loaded.data["rules"], loaded.data["files"]) == (2, [str(rules)])
        assert "Not now." in await answer(client)

        refused = await event(gateway, "policy.refused", rules, ALL + "forbid (principal;\n")
        assert "rules.cedar:2" in refused.data["message"]
        assert "Not now." in await answer(client)
        async with gateway.http() as http:
            status = (await http.get("/control/status")).json()
            (policy,) = [part for part in status["components"] if part["name"] == "policy"]
            assert not policy["ok"]
            assert "rules.cedar:2" in policy["detail"]
            asked = await http.put("/control/policy")
            assert (asked.status_code, "rules.cedar:2" in asked.json()["error_description"]) == (409, True)

            await event(gateway, "policy.loaded", rules, ALL)
            assert await answer(client) == "3"
            unchanged = (await http.put("/control/policy")).json()
            assert (unchanged["changed"], unchanged["rules"]) == (False, 1)
