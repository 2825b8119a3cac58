"""What a person allowed counts for what they were shown, and for nothing else: over a gateway, in both eras."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from approval_scene import (
    ERAS,
    FORBIDDEN,
    OTHER_RULES,
    PERMIT,
    RULES,
    WORDED_OTHERWISE,
    answer,
    asked_meanwhile,
    call,
    control,
    new_task,
    refused,
)
from gateway_harness import DEMO, Gateway, open_gateway
from mcp import MCPError

pytestmark = [pytest.mark.promise("approvals-are-bound"), pytest.mark.timeout(60)]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=0.1) as opened:
        yield opened


@ERAS
async def test_what_nobody_answered_waits_and_the_same_call_passes_once_it_is_allowed(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        approval = await refused(client, target="x")
        assert await refused(client, target="x") == approval, "one question for one thing"
        _, listed = await control(gateway, "GET")
        assert [(a["approval"], a["state"], a["rules"]) for a in listed["approvals"]] == [
            (approval, "waiting", ["ask-for-danger"])
        ]
        assert await answer(gateway, approval) == 200
        await call(client, target="x")
        assert gateway.seen["danger"] == 1
        assert await refused(client, target="x") != approval, "an approval was used twice"
    assert gateway.seen["danger"] == 1


@ERAS
async def test_other_arguments_are_another_question(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        approval = await refused(client, target="x")
        await answer(gateway, approval)
        assert await refused(client, target="y") != approval
        assert await refused(client) != approval
    assert "danger" not in gateway.seen


async def test_a_tool_of_another_server_is_another_question_though_it_is_defined_alike(tmp_path: Path):
    both = {"demo": DEMO, "twin": DEMO}
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=0, manifests=both) as gateway,
        gateway.client() as client,
    ):
        await answer(gateway, await refused(client, a=1), **{"for": "hour"})
        await refused(client, "twin__danger", a=1)
        await call(client, a=1)
    assert gateway.seen["danger"] == 1


@pytest.mark.parametrize("scope", ["once", "task"])
async def test_another_task_is_another_question_unless_it_was_allowed_for_an_hour(gateway: Gateway, scope: str):
    async with gateway.client() as client:
        here, there = await new_task(client), await new_task(client)
        await answer(gateway, await refused(client, task=here, a=1), **{"for": scope})
        await refused(client, task=there, a=1)
        assert "danger" not in gateway.seen
        await call(client, task=here, a=1)
        await answer(gateway, await refused(client, task=there, a=2), **{"for": "hour"})
        await call(client, task=here, a=3)
    assert gateway.seen["danger"] == 2


async def test_for_a_task_any_arguments_pass_until_it_ends(gateway: Gateway):
    async with gateway.client() as client:
        task = await new_task(client)
        await answer(gateway, await refused(client, task=task, a=1), **{"for": "task"})
        for number in (1, 2, 3):
            await call(client, task=task, a=number)
        await client.call_tool("muxi__task_end", {"task": task})
        await refused(client, a=1)
    assert gateway.seen["danger"] == 3


async def test_nobody_s_yes_is_another_user_s(gateway: Gateway):
    ada, bob = (gateway.runtime.keys.create(user)[1] for user in ("ada", "bob"))
    async with gateway.client(key=ada) as hers, gateway.client(key=bob) as his:
        await answer(gateway, await refused(hers, a=1), ada, **{"for": "hour"})
        await refused(his, a=1)
        await call(hers, a=2)
    assert gateway.seen["danger"] == 1


async def test_another_user_neither_sees_nor_answers_it_and_the_operator_does(gateway: Gateway):
    ada, bob = (gateway.runtime.keys.create(user)[1] for user in ("ada", "bob"))
    async with gateway.client(key=ada) as client:
        approval = await refused(client, a=1)
        assert (await control(gateway, "GET", "", bob))[1] == {"approvals": []}
        for method in ("GET", "DELETE"):
            assert (await control(gateway, method, f"/{approval}", bob))[0] == 404
        assert await answer(gateway, approval, bob) == 404
        assert await answer(gateway, approval, bob, allow=False) == 404
        await refused(client, a=1)
        assert (await control(gateway, "GET", f"/{approval}"))[1]["state"] == "waiting"
        assert await answer(gateway, approval) == 200
        await call(client, a=1)


async def test_without_a_key_nobody_answers_where_keys_are_required(tmp_path: Path):
    async with open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=0, require_key="always") as gateway:
        ada = gateway.runtime.keys.create("ada")[1]
        async with gateway.client(key=ada) as client:
            approval = await refused(client, a=1)
        assert await answer(gateway, approval) == 401
        assert (await control(gateway, "GET"))[0] == 401


async def test_a_tool_that_changes_has_to_be_asked_about_again(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=0, pins=False) as gateway,
        gateway.client() as client,
    ):
        before = await refused(client, a=1)
        await answer(gateway, before, **{"for": "hour"})
        changed = anyio.Event()
        gateway.runtime.tools.on_change(changed.set)
        await call(client, "demo__turn", tool="danger", text="another tool by the same name")
        await changed.wait()
        assert await refused(client, a=1) != before
    assert "danger" not in gateway.seen


@pytest.mark.parametrize("rules", [OTHER_RULES, WORDED_OTHERWISE], ids=["other", "worded otherwise"])
async def test_another_rule_has_to_be_asked_about_again(tmp_path: Path, rules: str):
    home = tmp_path / "home"
    async with open_gateway(home, rules=RULES, approval_wait_seconds=0) as gateway, gateway.client() as client:
        await answer(gateway, await refused(client, a=1), **{"for": "hour"})
    async with open_gateway(home, rules=rules, approval_wait_seconds=0) as gateway, gateway.client() as client:
        await refused(client, a=1)
        assert "danger" not in gateway.seen


@pytest.mark.parametrize(
    ("rules", "told"), [(FORBIDDEN, "Not any more"), (OTHER_RULES, "Other rules ask"), (PERMIT, "")]
)
async def test_rules_that_change_while_a_person_thinks_decide_in_the_end(tmp_path: Path, rules: str, told: str):
    home = tmp_path / "home"
    async with (
        open_gateway(home, rules=RULES, approval_wait_seconds=30) as gateway,
        asked_meanwhile(gateway) as next_one,
        gateway.client() as client,
        anyio.create_task_group() as group,
    ):

        async def change_and_allow() -> None:
            approval = await next_one()
            await anyio.Path(home / "rules.cedar").write_text(rules)
            async with gateway.http() as http:
                assert (await http.put("/control/policy")).status_code == 200
            await answer(gateway, approval)

        group.start_soon(change_and_allow)
        if told:
            with pytest.raises(MCPError, match=told):
                await call(client, a=1)
        else:
            await call(client, a=1)
    assert gateway.seen.get("danger", 0) == int(not told)


async def test_a_tool_that_changes_while_a_person_thinks_is_not_called(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=30, pins=False) as gateway,
        asked_meanwhile(gateway) as next_one,
        gateway.client() as client,
        gateway.client() as other,
        anyio.create_task_group() as group,
    ):
        changed = anyio.Event()
        gateway.runtime.tools.on_change(changed.set)

        async def change_and_allow() -> None:
            approval = await next_one()
            await call(other, "demo__turn", tool="danger", text="another tool by the same name")
            await changed.wait()
            await answer(gateway, approval)

        group.start_soon(change_and_allow)
        with pytest.raises(MCPError, match="changed while the call was on its way"):
            await call(client, a=1)
    assert "danger" not in gateway.seen


@ERAS
@pytest.mark.parametrize("answered", ["before", "after"])
async def test_questions_and_answers_survive_a_restart(tmp_path: Path, mode: str, answered: str):
    home = tmp_path / "home"
    async with open_gateway(home, rules=RULES, approval_wait_seconds=0) as gateway, gateway.client(mode=mode) as client:
        approval = await refused(client, a=1)
        if answered == "before":
            await answer(gateway, approval)
    async with open_gateway(home, rules=RULES, approval_wait_seconds=0) as gateway, gateway.client(mode=mode) as client:
        if answered == "after":
            _, listed = await control(gateway, "GET")
            assert [a["approval"] for a in listed["approvals"]] == [approval]
            assert await answer(gateway, approval, **{"for": "task"}) == 409, "its task is over"
            await answer(gateway, approval)
        await refused(client, a=2)
        await call(client, a=1)
        assert gateway.seen["danger"] == 1
        await refused(client, a=1)


async def test_a_question_that_ran_out_cannot_be_answered(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=0, approval_seconds=0.05) as gateway,
        gateway.runtime.journal.listen() as events,
        gateway.client() as client,
    ):
        approval = await refused(client, a=1)
        async for event in events:
            if event.kind == "approval.expired":
                break
        assert event.data["approval"] == approval
        assert await answer(gateway, approval) == 409
        assert await refused(client, a=1) != approval


async def test_of_two_answers_the_first_counts_and_the_others_are_told(gateway: Gateway):
    async with gateway.client() as client:
        approval = await refused(client, a=1)
        told: list[tuple[int, bool]] = []

        async def say(*, allow: bool) -> None:
            told.append((await answer(gateway, approval, allow=allow), allow))

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(lambda allow=bool(number % 2): say(allow=allow))
        assert sorted(status for status, _ in told) == [200, *[409] * 5]
        allowed = (200, True) in told
        _, shown = await control(gateway, "GET", f"/{approval}")
        assert shown["state"] == ("allowed" if allowed else "denied")
        if allowed:
            await call(client, a=1)
        else:
            assert await refused(client, a=1) != approval


async def test_of_many_calls_at_once_exactly_one_uses_it(gateway: Gateway):
    async with gateway.client() as client:
        await answer(gateway, await refused(client, a=1))
        refusals: list[str] = []

        async def attempt() -> None:
            try:
                await call(client, a=1)
            except MCPError as error:
                refusals.append(error.data["approval"])

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(attempt)
    assert gateway.seen["danger"] == 1
    assert len(refusals) == 7


async def test_what_was_allowed_can_be_taken_back(gateway: Gateway):
    async with gateway.client() as client:
        approval = await refused(client, a=1)
        await answer(gateway, approval, **{"for": "hour"})
        await call(client, a=1)
        assert (await control(gateway, "DELETE", f"/{approval}"))[1]["state"] == "denied"
        await refused(client, a=1)
        assert (await control(gateway, "DELETE", f"/{approval}"))[0] == 409
    assert gateway.seen["danger"] == 1


@ERAS
async def test_who_waits_sees_for_what_and_goes_on_when_it_is_allowed(tmp_path: Path, mode: str):
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=30) as gateway,
        asked_meanwhile(gateway) as next_one,
        gateway.client(mode=mode) as client,
    ):
        seen: list[str] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            del done, total
            seen.append(message or "")
            if len(seen) == 1:
                await answer(gateway, await next_one())

        await client.call_tool("demo__danger", {"a": 1}, progress_callback=progress)
        assert "approvals allow a-" in seen[0]
    assert gateway.seen["danger"] == 1


@ERAS
async def test_who_waits_is_told_of_a_no_with_its_reason(tmp_path: Path, mode: str):
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=30) as gateway,
        asked_meanwhile(gateway) as next_one,
        gateway.client(mode=mode) as client,
        anyio.create_task_group() as group,
    ):

        async def say_no() -> None:
            await answer(gateway, await next_one(), allow=False, reason="Not on a Friday.")

        group.start_soon(say_no)
        with pytest.raises(MCPError, match="Not on a Friday"):
            await call(client, a=1)
    assert "danger" not in gateway.seen


async def test_an_hour_that_is_allowed_lets_all_go_on_that_wait_for_it(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=30) as gateway,
        asked_meanwhile(gateway) as next_one,
        gateway.client() as client,
    ):
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(lambda number=number: call(client, a=number))
            names = [await next_one() for _ in range(3)]
            assert len(set(names)) == 3
            await answer(gateway, names[1], **{"for": "hour"})
        _, listed = await control(gateway, "GET")
        assert [a["approval"] for a in listed["approvals"]] == [names[1]], "a question is left that nobody waits for"
    assert gateway.seen["danger"] == 3


@ERAS
async def test_a_client_that_goes_away_leaves_its_question(tmp_path: Path, mode: str):
    async with (
        open_gateway(tmp_path / "home", rules=RULES, approval_wait_seconds=30) as gateway,
        asked_meanwhile(gateway) as next_one,
        gateway.client(mode=mode) as client,
    ):
        async with gateway.runtime.journal.listen() as events:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: call(client, a=1))
                approval = await next_one()
                group.cancel_scope.cancel()
            async for event in events:
                if event.kind == "call.cancelled":
                    break
        assert await answer(gateway, approval) == 200
        assert "danger" not in gateway.seen
        await call(client, a=1)
    assert gateway.seen["danger"] == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"allow": "yes"}}, 400),
        ({"json": {"allow": True, "for": "ever"}}, 400),
        ({"json": {}}, 400),
        ({"json": {"allow": True, "also": 1}}, 400),
        ({"json": {"allow": False, "reason": "x" * 301}}, 400),
        ({"content": "allow=true", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 415),
        ({"content": '{"allow": true}', "headers": {"content-type": "text/plain"}}, 415),
        ({"content": '{"allow": true}' + " " * 5000, "headers": {"content-type": "application/json"}}, 413),
        ({"json": {"allow": True}, "headers": {"origin": "https://evil.example"}}, 403),
    ],
)
async def test_an_answer_that_is_not_plainly_one_counts_for_nothing(
    gateway: Gateway, sent: dict[str, Any], status: int
):
    async with gateway.client() as client:
        approval = await refused(client, a=1)
        async with gateway.http() as http:
            told = await http.post(f"/control/approvals/{approval}", **sent)
        assert told.status_code == status
        assert (await control(gateway, "GET", f"/{approval}"))[1]["state"] == "waiting"
