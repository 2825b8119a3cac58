"""What the tests of approvals share: rules that ask, calls that are refused, answers by the control API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from gateway_harness import Gateway
from mcp import Client, MCPError

from muxi_runtime.gateway.wire_errors import DENIED

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
PERMIT = '@id("everything") permit (principal, action, resource);'
RULES = f"""
{PERMIT}
@id("ask-for-danger") @decision("ask") @reason("It is dangerous.") @remedy("Ask the operator.")
forbid (principal, action, resource) when {{ resource.name == "danger" }};
"""
OTHER_RULES = RULES.replace("ask-for-danger", "ask-for-another-reason")
WORDED_OTHERWISE = RULES.replace('resource.name == "danger"', 'resource.name like "dang*"')
FORBIDDEN = RULES + '@id("never") @reason("Not any more.") forbid (principal, action, resource);'
TASK = "muxi/task"


async def call(client: Client, name: str = "demo__danger", task: str | None = None, **arguments: object) -> Any:
    meta: Any = {TASK: task} if task else None
    return await client.call_tool(name, arguments, meta=meta)


async def refused(client: Client, name: str = "demo__danger", task: str | None = None, **arguments: object) -> str:
    """Make a call that is not allowed; the approval that it names."""
    with pytest.raises(MCPError) as refusal:
        await call(client, name, task, **arguments)
    assert refusal.value.code == DENIED, refusal.value
    return str(refusal.value.data["approval"])


async def control(
    gateway: Gateway, method: str, path: str = "", key: str | None = None, **sent: Any
) -> tuple[int, Any]:
    async with gateway.http(key) as http:
        answer = await http.request(method, f"/control/approvals{path}", **sent)
        return answer.status_code, answer.json()


async def answer(gateway: Gateway, approval: str, key: str | None = None, **said: Any) -> int:
    status, _ = await control(gateway, "POST", f"/{approval}", key, json={"allow": True, **said})
    return status


async def new_task(client: Client) -> str:
    result = await client.call_tool("muxi__task_new", {})
    assert result.structured_content is not None
    return str(result.structured_content["task"])


@asynccontextmanager
async def asked_meanwhile(gateway: Gateway) -> AsyncIterator[Any]:
    """Tells the next approval that is asked for: `await next_one()`."""
    async with gateway.runtime.journal.listen() as events:

        async def next_one() -> str:
            async for event in events:
                if event.kind == "approval.requested":
                    return str(event.data["approval"])
            raise AssertionError

        yield next_one
