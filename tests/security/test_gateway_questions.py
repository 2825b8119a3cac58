"""`ask` decisions: a person's answer counts for exactly one call, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import Client, MCPError

from muxi_runtime.gateway.wire_errors import DENIED

pytestmark = pytest.mark.promise("an-approval-counts-once")

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
RULES = """
@id("everything") permit (principal, action, resource);
@id("ask-for-danger") @decision("ask") @reason("It is dangerous.") @remedy("Ask the operator.")
forbid (principal, action, resource) when { resource.name == "danger" };
@id("never-huge") @reason("It is too much.") forbid (principal, action, resource) when { resource.name == "huge" };
"""


class Person:
    """Answers what it is asked."""

    def __init__(self, action: str = "accept", *, allow: bool = True) -> None:
        self.asked: list[str] = []
        self._answer = types.ElicitResult(action=action, content={"allow": allow} if action == "accept" else None)

    async def __call__(self, context: Any, params: types.ElicitRequestFormParams) -> types.ElicitResult:
        del context
        self.asked.append(params.message)
        return self._answer


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=0.2) as opened:
        yield opened


async def call(client: Client, name: str, **arguments: object) -> Any:
    return await client.call_tool(name, arguments)


@ERAS
async def test_a_person_is_asked_and_the_call_is_made_once(gateway: Gateway, mode: str):
    person = Person()
    async with gateway.client(mode=mode, elicitation_callback=person) as client:
        await client.call_tool("demo__danger", {"target": "x\u202ey\x1b[2J"})
        await client.call_tool("demo__echo", {"text": "no question"})
    assert gateway.seen["danger"] == 1
    assert len(person.asked) == 1
    assert "ask-for-danger" in person.asked[0]
    assert "\u202e" not in person.asked[0]
    assert "\x1b" not in person.asked[0]


@ERAS
@pytest.mark.parametrize("person", [Person("decline"), Person("cancel"), Person(allow=False)])
async def test_anything_but_a_yes_is_a_no(gateway: Gateway, mode: str, person: Person):
    async with gateway.client(mode=mode, elicitation_callback=person) as client:
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__danger")
    assert refused.value.code == DENIED
    assert "danger" not in gateway.seen


@ERAS
async def test_a_client_that_cannot_ask_is_refused_with_the_way_to_approve(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__danger")
    assert refused.value.data["rule"] == "ask-for-danger"
    assert "Ask the operator." in str(refused.value)
    assert "danger" not in gateway.seen


@ERAS
async def test_a_denial_names_its_rule(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode, elicitation_callback=Person()) as client:
        with pytest.raises(MCPError) as refused:
            await call(client, "demo__huge", size=1)
    assert (refused.value.code, refused.value.data["rule"]) == (DENIED, "never-huge")


async def test_nobody_answering_is_a_no_after_the_set_time(tmp_path: Path):
    async def never(*_: object) -> types.ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        open_gateway(tmp_path / "home", rules=RULES, question_seconds=0.3) as gateway,
        gateway.client(mode="legacy", elicitation_callback=never) as client,
    ):
        with pytest.raises(MCPError, match="nobody answered"):
            await call(client, "demo__danger")


async def first_round(client: Client, **arguments: object) -> types.InputRequiredResult:
    """Call, and keep the question instead of answering it."""
    result = await client.session.call_tool("demo__danger", arguments, allow_input_required=True)
    assert isinstance(result, types.InputRequiredResult)
    return result


async def second_round(client: Client, state: str | None, tool: str = "demo__danger", **arguments: object) -> Any:
    answer = types.ElicitResult(action="accept", content={"allow": True})
    return await client.session.call_tool(
        tool,
        arguments,
        allow_input_required=True,
        request_state=state,
        input_responses={"muxi-approval": answer},
    )


async def test_an_answer_cannot_be_used_twice(gateway: Gateway):
    async with gateway.client(elicitation_callback=Person()) as client:
        state = (await first_round(client, a=1)).request_state
        assert isinstance(await second_round(client, state, a=1), types.CallToolResult)
        assert isinstance(await second_round(client, state, a=1), types.InputRequiredResult)
    assert gateway.seen["danger"] == 1


async def test_an_answer_does_not_count_for_other_arguments(gateway: Gateway):
    async with gateway.client(elicitation_callback=Person()) as client:
        state = (await first_round(client, a=1)).request_state
        with pytest.raises(MCPError, match="requestState"):
            await second_round(client, state, a=2)
    assert "danger" not in gateway.seen


async def test_an_answer_without_a_question_counts_for_nothing(gateway: Gateway):
    async with gateway.client(elicitation_callback=Person()) as client:
        assert isinstance(await second_round(client, None, a=1), types.InputRequiredResult)
        with pytest.raises(MCPError, match="requestState"):
            await second_round(client, "v1.forged", a=1)
    assert "danger" not in gateway.seen


async def test_an_answer_of_another_principal_counts_for_nothing(gateway: Gateway):
    tokens = [gateway.runtime.keys.create(user)[1] for user in ("ada", "bob")]
    async with (
        gateway.client(key=tokens[0], elicitation_callback=Person()) as ada,
        gateway.client(key=tokens[1], elicitation_callback=Person()) as bob,
    ):
        state = (await first_round(ada, a=1)).request_state
        with pytest.raises(MCPError, match="requestState"):
            await second_round(bob, state, a=1)
    assert "danger" not in gateway.seen
