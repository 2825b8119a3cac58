"""Tool calls past the SDK's client, against a program in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.errors import ForwardedError, ServerError
from muxi_runtime.gateway.direct_calls import PlainCaller
from muxi_runtime.gateway.requests import FIRST_ID, MAX_PROGRESS, Requests
from muxi_runtime.identity.principal import Principal
from muxi_sandbox.contract import Sandbox, Spec
from muxi_sandbox.errors import SandboxClosedError, SandboxDiedError
from muxi_sandbox.fake import FakeBackend
from muxi_sandbox.fake_process import FakeProcess

Answer = Callable[[FakeProcess, dict[str, Any]], Awaitable[None]]


@asynccontextmanager
async def requests(answer: Answer, mark: str = "") -> AsyncIterator[tuple[Requests, list[dict[str, Any]]]]:
    """Requests to a program that handles each with `answer`; and all that it got."""
    got: list[dict[str, Any]] = []

    async def program(process: FakeProcess) -> int:
        while True:
            message = json.loads(await process.receive())
            got.append(message)
            if "id" in message:
                await answer(process, message)

    spec = Spec(task="t", server="demo", image="demo", command=("demo",))
    async with FakeBackend({"demo": program}) as backend, backend.lease(spec) as lease:
        asked = Requests(lease.sandbox, mark)
        lease.sandbox.offer_first(asked.take)
        async with anyio.create_task_group() as group:
            group.start_soon(watch_for_the_end, lease.sandbox, asked)
            yield asked, got
            group.cancel_scope.cancel()


async def watch_for_the_end(sandbox: Sandbox, asked: Requests) -> None:
    while True:
        try:
            await sandbox.receive()
        except SandboxDiedError as error:
            asked.fail(error)
            return


async def say(process: FakeProcess, message: object) -> None:
    await process.send(json.dumps(message).encode())


async def ask(asked: Requests, *, seconds: float = 10, progress: Any = None) -> dict[str, Any]:
    caller = Listener(progress) if progress else None
    return await asked.ask("tools/call", {"name": "x"}, seconds=seconds, caller=caller)


class Listener(PlainCaller):
    """A caller that wants to know how far its call is."""

    wants_progress = True

    def __init__(self, heard: Any) -> None:
        super().__init__(Principal())
        self.progress = heard


async def echo(process: FakeProcess, message: dict[str, Any]) -> None:
    await say(process, {"jsonrpc": "2.0", "id": message["id"], "result": {"got": message["params"]}})


async def test_a_result_comes_as_it_was_sent() -> None:
    async with requests(echo) as (asked, got):
        assert await ask(asked) == {"got": {"name": "x"}}
        assert await ask(asked) == {"got": {"name": "x"}}
    assert [message["id"] for message in got] == [FIRST_ID, FIRST_ID + 1]


async def test_a_mark_is_part_of_every_id() -> None:
    async with requests(echo, "m") as (asked, got):
        assert await ask(asked)
    assert got[0]["id"] == f"m-{FIRST_ID}"


async def test_many_at_once_get_each_its_own_answer() -> None:
    waiting: list[dict[str, Any]] = []

    async def backwards(process: FakeProcess, message: dict[str, Any]) -> None:
        waiting.append(message)
        if len(waiting) == 20:
            for one in reversed(waiting):
                await say(process, {"jsonrpc": "2.0", "id": one["id"], "result": {"n": one["params"]["n"]}})

    async with requests(backwards) as (asked, _):

        async def one(number: int) -> None:
            assert await asked.ask("tools/call", {"n": number}, seconds=10) == {"n": number}

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, number)


async def test_an_error_is_the_servers_own() -> None:
    async def refuse(process: FakeProcess, message: dict[str, Any]) -> None:
        error = {"code": -32099, "message": "no", "data": [1]}
        await say(process, {"jsonrpc": "2.0", "id": message["id"], "error": error})

    async with requests(refuse) as (asked, _):
        with pytest.raises(ForwardedError) as refused:
            await ask(asked)
    assert (refused.value.code, str(refused.value), refused.value.data) == (-32099, "no", [1])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"result": None},
        {"result": [1]},
        {"error": "no"},
        {"error": {"code": "1", "message": "no"}},
        {"error": {"code": True, "message": "no"}},
        {"result": {}, "error": {"message": "no"}},
    ],
    ids=str,
)
async def test_an_answer_that_is_neither_is_the_servers_fault(body: dict[str, Any]) -> None:
    async def odd(process: FakeProcess, message: dict[str, Any]) -> None:
        await say(process, {"jsonrpc": "2.0", "id": message["id"], **body})

    async with requests(odd) as (asked, _):
        with pytest.raises(ServerError):
            await ask(asked)


async def test_a_late_answer_is_for_nobody_and_the_server_is_told_to_stop() -> None:
    late: list[dict[str, Any]] = []

    async def dawdle(process: FakeProcess, message: dict[str, Any]) -> None:
        late.append(message)
        if len(late) == 2:
            await echo(process, late[0])
            await echo(process, late[1])

    async with requests(dawdle) as (asked, got):
        with pytest.raises(TimeoutError):
            await ask(asked, seconds=0.05)
        assert await ask(asked) == {"got": {"name": "x"}}
    assert got[1]["method"] == "notifications/cancelled"
    assert got[1]["params"]["requestId"] == got[0]["id"]


async def test_a_caller_that_gives_up_is_told_to_the_server() -> None:
    begun = anyio.Event()

    async def hang_once(process: FakeProcess, message: dict[str, Any]) -> None:
        if begun.is_set():
            await echo(process, message)
        begun.set()

    async with requests(hang_once) as (asked, got):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, asked)
            await begun.wait()
            group.cancel_scope.cancel()
        await ask(asked)
    assert [message["method"] for message in got] == ["tools/call", "notifications/cancelled", "tools/call"]


async def test_progress_comes_in_order_and_before_the_result() -> None:
    async def report(process: FakeProcess, message: dict[str, Any]) -> None:
        token = message["params"]["_meta"]["progressToken"]
        for params in (
            {"progress": 1, "total": 2, "message": "one"},
            {"progress": "bad"},
            {"progress": True},
            {"progress": 1.5, "total": "many", "message": 5},
        ):
            note = {"progressToken": token, **params}
            await say(process, {"jsonrpc": "2.0", "method": "notifications/progress", "params": note})
        await echo(process, message)

    heard: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with requests(report) as (asked, _):
        await ask(asked, progress=note)
    assert heard == [(1, 2, "one"), (1.5, None, None)]


async def test_what_a_slow_caller_has_not_heard_stays_bounded() -> None:
    async def flood(process: FakeProcess, message: dict[str, Any]) -> None:
        token = message["params"]["_meta"]["progressToken"]
        for number in range(5 * MAX_PROGRESS):
            note = {"progressToken": token, "progress": number}
            await say(process, {"jsonrpc": "2.0", "method": "notifications/progress", "params": note})
        await echo(process, message)

    heard: list[float] = []

    async def slow(progress: float, _total: float | None, _message: str | None) -> None:
        if not heard:
            await anyio.sleep(0.2)
        heard.append(progress)

    async with requests(flood) as (asked, _):
        await ask(asked, progress=slow)
    assert len(heard) <= MAX_PROGRESS + 5
    assert heard == sorted(heard)


async def test_the_end_of_the_sandbox_wakes_who_waits_and_refuses_who_comes() -> None:
    async def die(process: FakeProcess, _message: dict[str, Any]) -> None:
        process.stream.fail(SandboxDiedError("gone", exit_code=3))

    async with requests(die) as (asked, _):
        for _ in range(2):
            with pytest.raises(SandboxDiedError):
                await ask(asked)


async def test_the_first_reason_stays() -> None:
    async def nothing(_process: FakeProcess, _message: dict[str, Any]) -> None:
        return

    async with requests(nothing) as (asked, _):
        asked.fail(SandboxDiedError("first"))
        asked.fail(SandboxClosedError("second"))
        with pytest.raises(SandboxDiedError, match="first"):
            await ask(asked)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
ids = st.sampled_from([FIRST_ID, float(FIRST_ID), True, str(FIRST_ID), None, [FIRST_ID], {"a": 1}, 0, FIRST_ID + 1])


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_no_frame_of_a_server_breaks_the_reading(frame: bytes) -> None:
    assert taken_while_one_waits(frame) is False


@given(ids)
def test_only_the_very_id_is_an_answer(number: Any) -> None:
    frame = json.dumps({"jsonrpc": "2.0", "id": number, "result": {}}).encode()
    assert taken_while_one_waits(frame) is (type(number) is int and number == FIRST_ID)


def taken_while_one_waits(frame: bytes) -> bool:
    async def main() -> bool:
        begun = anyio.Event()

        async def hang(_process: FakeProcess, _message: dict[str, Any]) -> None:
            begun.set()

        async with requests(hang) as (asked, _), anyio.create_task_group() as group:
            group.start_soon(ask, asked)
            await begun.wait()
            taken = asked.take(frame)
            group.cancel_scope.cancel()
        return taken

    return anyio.run(main)
