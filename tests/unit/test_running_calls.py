"""Calls that run before the SDK has heard of them: handed over once, adopted or cancelled, and never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import MCPError

from muxi_runtime.errors import ForwardedError
from muxi_runtime.gateway import running_calls
from muxi_runtime.gateway.running_calls import RunningCall, RunningCalls

CLIENT: Any = object()
RESULT = {"content": []}


class Sdk:
    """What a call is handed over to. It `takes` it or not; its answer is in `got`."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.asked = anyio.Event()
        self.goes_on = anyio.Event()
        self.goes_on.set()
        self.scope = anyio.CancelScope()
        self.got: list[Any] = []

    async def __call__(self, call: RunningCall) -> None:
        self.asked.set()
        await self.goes_on.wait()
        if not self.takes:
            return
        with self.scope:
            try:
                self.got.append(await call.adopt(CLIENT))
            except MCPError as error:
                self.got.append(error)


@pytest.fixture
async def calls() -> AsyncIterator[RunningCalls]:
    async with watched(60) as running:
        yield running


@asynccontextmanager
async def watched(look_seconds: float) -> AsyncIterator[RunningCalls]:
    running = RunningCalls(look_seconds)
    async with anyio.create_task_group() as group:
        group.start_soon(running.watch)
        with anyio.fail_after(10):
            while not running.may_begin("", 0):
                await anyio.lowlevel.checkpoint()
            yield running
        group.cancel_scope.cancel()


async def test_a_quick_call_is_not_handed_over(calls: RunningCalls) -> None:
    async def quick() -> Any:
        return RESULT

    sdk = Sdk()
    with calls.open("s", 1, sdk) as call:
        assert not calls.may_begin("s", 1)
        assert not calls.may_begin("s", "1")
        assert calls.may_begin("s", 2)
        assert calls.may_begin("other", 1)
        await call.run(quick)
    assert (call.handed_over, call.result, sdk.got, calls.may_begin("s", 1)) == (False, RESULT, [], True)


async def test_one_that_takes_long_is_handed_over_once() -> None:
    sdk = Sdk()

    async def slow() -> Any:
        await sdk.asked.wait()
        await anyio.sleep(0.05)
        return RESULT

    async with watched(0.01) as calls:
        with calls.open("s", 1, sdk) as call:
            await call.run(slow)
    assert (call.handed_over, sdk.got) == (True, [RESULT])


async def test_its_error_is_the_sdks_to_tell(calls: RunningCalls) -> None:
    sdk = Sdk()
    with calls.open("s", 1, sdk) as call:

        async def fails() -> Any:
            assert await call.client() is CLIENT
            raise MCPError(-1, "no")

        await call.run(fails)
    assert [error.code for error in sdk.got] == [-1]


async def test_it_is_known_to_the_sdk_once_its_session_has_settled(calls: RunningCalls) -> None:
    sdk, go_on, settled = Sdk(), anyio.Event(), anyio.Event()
    sdk.goes_on = anyio.Event()

    async def slow() -> Any:
        await go_on.wait()
        return RESULT

    async def settle() -> None:
        await calls.settle("s")
        settled.set()

    with calls.open("s", 1, sdk) as call:
        async with anyio.create_task_group() as group:
            group.start_soon(call.run, slow)
            group.start_soon(settle)
            await sdk.asked.wait()
            assert not settled.is_set()
            sdk.goes_on.set()
            await settled.wait()
            go_on.set()
    assert sdk.got == [RESULT]
    await calls.settle("s")


async def test_one_that_ends_before_the_sdk_has_begun_is_answered_all_the_same(calls: RunningCalls) -> None:
    sdk = Sdk()
    sdk.goes_on = anyio.Event()

    async def ends() -> Any:
        call.hand_over()
        await sdk.asked.wait()
        return RESULT

    with calls.open("s", 1, sdk) as call:
        async with anyio.create_task_group() as group:
            group.start_soon(call.run, ends)
            await calls.settle("s")
            sdk.goes_on.set()
    assert sdk.got == [RESULT]


@pytest.mark.parametrize("how", ["settled", "looked at"])
async def test_one_that_ended_before_it_was_handed_over_is_answered_once(calls: RunningCalls, how: str) -> None:
    async def quick() -> Any:
        return RESULT

    sdk = Sdk()
    with calls.open("s", 1, sdk) as call:
        await call.run(quick)
        with anyio.fail_after(5):  # its answer is being sent: the client's next message finds it here
            await calls.settle("s") if how == "settled" else call.hand_over()
        assert not call.handed_over
    assert (call.result, sdk.got, sdk.asked.is_set()) == (RESULT, [], False)


async def test_one_that_is_over_can_still_be_the_sdks_to_answer(calls: RunningCalls) -> None:
    async def quick() -> Any:
        return RESULT

    sdk = Sdk()
    with calls.open("s", 1, sdk) as call:
        await call.run(quick)
        await call.finish_by_sdk()
    assert sdk.got == [RESULT]


async def test_who_cancels_the_handler_cancels_the_call(calls: RunningCalls) -> None:
    sdk, ended = Sdk(), anyio.Event()

    async def waits() -> Any:
        await call.client()
        try:
            sdk.scope.cancel()
            await anyio.sleep_forever()
        finally:
            ended.set()

    with calls.open("s", 1, sdk) as call:
        await call.run(waits)
    assert ended.is_set()


async def test_one_that_the_sdk_does_not_take_is_cancelled(
    calls: RunningCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_calls, "ADOPTED_SECONDS", 0.01)
    sdk = Sdk(takes=False)
    refused: list[ForwardedError] = []

    async def asks() -> Any:
        try:
            await call.client()
        except ForwardedError as error:
            refused.append(error)
        await anyio.sleep_forever()

    with calls.open("s", 1, sdk) as call:
        await call.run(asks)
    assert len(refused) <= 1
    with pytest.raises(MCPError, match="cancelled"):
        _ = call.result


async def test_a_fault_at_the_sdk_is_that_calls_own(calls: RunningCalls) -> None:
    async def broken(_call: RunningCall) -> None:
        raise RuntimeError("a fault")

    async def asks() -> Any:
        call.hand_over()
        await anyio.sleep_forever()

    for _ in range(2):
        with calls.open("s", 1, broken) as call:
            await call.run(asks)
