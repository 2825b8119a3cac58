"""Questions that a person answers at their client, and answers from elsewhere meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from approval_scene import (
    ERAS,
    RULES,
    answer,
    asked_meanwhile,
    call,
    control,
    refused,
)
from gateway_harness import Gateway, open_gateway
from mcp import Client, MCPError

pytestmark = [pytest.mark.promise("approvals-are-bound"), pytest.mark.timeout(60)]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=0.1) as opened:
        yield opened


def elicited(action: str = "accept", **content: Any) -> Any:
    async def say(context: Any, params: types.ElicitRequestFormParams) -> types.ElicitResult:
        del context, params
        return types.ElicitResult(action=action, content=content or None)

    return say


@ERAS
@pytest.mark.parametrize(("scope", "asked"), [("once", 3), ("task", 1), ("hour", 1)])
async def test_a_person_at_the_client_chooses_for_how_much(gateway: Gateway, mode: str, scope: str, asked: int):
    questions: list[Any] = []

    async def person(context: Any, params: types.ElicitRequestFormParams) -> types.ElicitResult:
        del context
        questions.append(params)
        return types.ElicitResult(action="accept", content={"allow": True, "for": scope})

    async with gateway.client(mode=mode, elicitation_callback=person) as client:
        for number in range(3):
            await call(client, a=number)
    assert (gateway.seen["danger"], len(questions)) == (3, asked)
    assert questions[0].requested_schema["properties"]["for"]["enum"] == ["once", "task", "hour"]


@ERAS
@pytest.mark.parametrize("content", [{"allow": True, "for": "ever"}, {"for": "hour"}, {"allow": "true", "for": "once"}])
async def test_a_choice_that_was_not_offered_is_a_no(gateway: Gateway, mode: str, content: dict[str, Any]):
    async with gateway.client(mode=mode, elicitation_callback=elicited(**content)) as client:
        await refused(client, a=1)
    assert "danger" not in gateway.seen


@pytest.mark.parametrize("allow", [True, False])
async def test_an_answer_from_elsewhere_counts_while_the_person_at_the_client_is_asked(
    gateway: Gateway, *, allow: bool
):
    async def never(*_: object) -> types.ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        asked_meanwhile(gateway) as next_one,
        gateway.client(mode="legacy", elicitation_callback=never) as client,
        anyio.create_task_group() as group,
    ):

        async def say() -> None:
            await answer(gateway, await next_one(), allow=allow)

        group.start_soon(say)
        if allow:
            await call(client, a=1)
        else:
            await refused(client, a=1)
    assert gateway.seen.get("danger", 0) == int(allow)


async def first_round(client: Client, **arguments: object) -> str | None:
    result = await client.session.call_tool("demo__danger", arguments, allow_input_required=True)
    assert isinstance(result, types.InputRequiredResult)
    return result.request_state


async def come_back(client: Client, state: str | None, answers: Any = None, **arguments: object) -> Any:
    return await client.session.call_tool(
        "demo__danger", arguments, allow_input_required=True, request_state=state, input_responses=answers
    )


async def only_approval(gateway: Gateway) -> str:
    _, listed = await control(gateway, "GET")
    (waiting,) = listed["approvals"]
    return str(waiting["approval"])


async def test_a_modern_client_comes_back_for_an_answer_that_was_given_elsewhere(gateway: Gateway):
    async with gateway.client(elicitation_callback=elicited()) as client:
        state = await first_round(client, a=1)
        approval = await only_approval(gateway)
        again = await come_back(client, state, a=1)
        assert isinstance(again, types.InputRequiredResult), "nobody has answered"
        assert await only_approval(gateway) == approval
        await answer(gateway, approval)
        assert isinstance(await come_back(client, again.request_state, a=1), types.CallToolResult)
        assert isinstance(await come_back(client, again.request_state, a=1), types.InputRequiredResult)
    assert gateway.seen["danger"] == 1


async def test_a_modern_client_that_comes_back_with_a_yes_after_a_no_is_told_of_the_no(gateway: Gateway):
    yes = {"muxi-approval": types.ElicitResult(action="accept", content={"allow": True})}
    async with gateway.client(elicitation_callback=elicited()) as client:
        state = await first_round(client, a=1)
        await answer(gateway, await only_approval(gateway), allow=False, reason="I was first.")
        with pytest.raises(MCPError, match="I was first"):
            await come_back(client, state, yes, a=1)
    assert "danger" not in gateway.seen


async def test_the_way_back_is_only_the_principal_s_own(gateway: Gateway):
    ada, bob = (gateway.runtime.keys.create(user)[1] for user in ("ada", "bob"))
    async with (
        gateway.client(key=ada, elicitation_callback=elicited()) as hers,
        gateway.client(key=bob, elicitation_callback=elicited()) as his,
    ):
        state = await first_round(hers, a=1)
        await answer(gateway, await only_approval(gateway))
        with pytest.raises(MCPError, match="requestState"):
            await come_back(his, state, a=1)
    assert "danger" not in gateway.seen


async def test_all_of_it_is_in_the_journal_with_who_and_how(gateway: Gateway):
    """The first call is told as refused, the second as answered, each under its own id."""
    told: list[Any] = []
    async with gateway.runtime.journal.listen() as events, gateway.client() as client:
        approval = await refused(client, a=1)
        await answer(gateway, approval)
        await call(client, a=1)
        async for event in events:
            told.append(event)
            if event.kind == "call.finished":
                break
    (refusal,) = [event for event in told if event.kind == "call.refused"]
    (said,) = [event for event in told if event.kind == "call.answered"]
    assert approval in refusal.data["message"]
    assert (said.data["allowed"], said.data["approval"], said.call != refusal.call) == (True, approval, True)
    of_approval = [event for event in told if event.kind.startswith("approval.")]
    assert [event.kind for event in of_approval] == ["approval.requested", "approval.answered", "approval.used"]
    assert {event.data["approval"] for event in of_approval} == {approval}
    assert {"allowed": True, "by": "local", "how": "control", "scope": "once"}.items() <= of_approval[1].data.items()
    finished = next(event for event in told if event.kind == "call.finished")
    assert of_approval[2].call == finished.call
    assert of_approval[2].seq < finished.seq
