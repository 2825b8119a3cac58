"""The warm pool over the in-memory backend: what is taken, made, replaced and given up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from muxi_sandbox.contract import Sandbox, Spec
from muxi_sandbox.errors import EngineUnavailableError, ImageMissingError, SandboxDiedError, SandboxError
from muxi_sandbox.fake import FakeBackend, FakeEngine, FakeProcess
from muxi_sandbox.pool.pool import Pool, Wish
from muxi_sandbox.pool.settings import PoolSettings


class EchoSession:
    """The least that makes a sandbox ready: it answers."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.ended = anyio.Event()
        self._answers = anyio.Event()

    async def check(self) -> None:
        await self.sandbox.send(b"hello")
        await self._answers.wait()
        if self.ended.is_set():
            raise SandboxDiedError("it ended")

    async def read(self) -> None:
        try:
            while True:
                await self.sandbox.receive()
                self._answers.set()
        except SandboxError:
            self.ended.set()
            self._answers.set()


@asynccontextmanager
async def warm(sandbox: Sandbox) -> AsyncIterator[EchoSession]:
    session = EchoSession(sandbox)
    async with anyio.create_task_group() as group:
        group.start_soon(session.read)
        yield session
        group.cancel_scope.cancel()


async def echo(process: FakeProcess) -> int:
    while True:
        frame = await process.receive()
        if frame == b"die":
            return 1
        await process.send(frame)


async def exit_at_once(_process: FakeProcess) -> int:
    return 3


async def never_answer(process: FakeProcess) -> int:
    while True:
        await process.receive()


async def until(condition: Callable[[], bool]) -> None:
    """The pool looks after things in its own time; the test's hard limit bounds the wait."""
    while not condition():  # noqa: ASYNC110  # there is no event for what it forgets
        await anyio.sleep(0.005)


SPEC = Spec(server="echo", image="echo", workspace="write")  # type: ignore[arg-type]


@asynccontextmanager
async def pool_of(
    *, floor: int = 2, ceiling: int = 4, spec: Spec = SPEC, engine: FakeEngine | None = None, **settings: Any
) -> AsyncIterator[Pool[EchoSession]]:
    programs = {"echo": echo, "exits": exit_at_once, "silent": never_answer}
    with anyio.fail_after(30):
        async with (
            FakeBackend(programs, engine=engine) as backend,
            Pool(backend, warm, PoolSettings(refill_pause_seconds=0, **settings)) as pool,
        ):
            pool.want({spec.server: Wish(spec, floor, ceiling)})
            yield pool


def of_task(task: str, spec: Spec = SPEC) -> Spec:
    return spec.model_copy(update={"task": task})


async def test_the_floor_is_ready_before_anybody_asks():
    async with pool_of(floor=3) as pool:
        await pool.filled()
        (report,) = pool.report()
        assert (report.ready, report.starting, report.hits, report.misses) == (3, 0, 0, 0)


async def test_a_ready_one_is_taken_claimed_and_never_comes_back():
    seen = []
    async with pool_of(floor=1, ceiling=1) as pool:
        for task in ("one", "two", "three"):
            await pool.filled()
            async with pool.lease(of_task(task)) as leased:
                assert leased.was_warm
                assert leased.lease.sandbox.spec.task == task
                seen.append(leased.lease.sandbox.id)
        assert len(set(seen)) == 3
        assert pool.report()[0].hits == 3


async def test_where_none_is_ready_one_is_made_for_the_task():
    async with pool_of(floor=0, ceiling=0) as pool, pool.lease(of_task("one")) as leased:
        assert not leased.was_warm
        assert leased.lease.workspace_is_new
        await leased.session.check()
        assert pool.report()[0].misses == 1


async def test_a_spec_that_nobody_wished_for_is_made_for_the_task():
    async with pool_of() as pool:
        await pool.filled()
        other = of_task("one").model_copy(update={"environment": {"A": "b"}})
        async with pool.lease(other) as leased:
            assert not leased.was_warm


async def test_a_lease_is_for_a_task():
    async with pool_of() as pool:
        with pytest.raises(ValueError, match="task"):
            async with pool.lease(SPEC):
                pass


async def test_demand_raises_what_is_held_up_to_the_ceiling():
    async with pool_of(floor=1, ceiling=3) as pool:
        for number in range(6):
            async with pool.lease(of_task(f"t-{number}")):
                pass
        await pool.filled()
        assert pool.report()[0].ready == 3


async def test_a_past_demand_is_forgotten_and_what_is_too_much_is_ended():
    async with pool_of(floor=1, ceiling=3, half_life_seconds=0.01, check_seconds=0.02) as pool:
        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(use, pool, f"t-{number}")
        await until(lambda: pool.report()[0].ready == 1)


async def use(pool: Pool[EchoSession], task: str) -> None:
    async with pool.lease(of_task(task)) as leased:
        await leased.session.check()


async def test_a_hundred_tasks_at_once_all_get_one_and_some_wait_for_their_turn():
    async with pool_of(floor=20, ceiling=20, total=20, cold_at_once=4) as pool:
        await pool.filled()
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(use, pool, f"t-{number}")
        (report,) = pool.report()
        assert report.hits >= 20
        assert report.hits + report.misses == 100
        assert report.waits > 0


async def test_one_that_dies_while_it_waits_is_replaced_and_nobody_gets_it():
    engine = FakeEngine()
    async with pool_of(floor=1, ceiling=1, engine=engine) as pool:
        await pool.filled()
        (dead,) = engine.running
        await engine.running[dead].kill(SandboxDiedError("gone"))
        async with pool.lease(of_task("one")) as leased:
            assert leased.lease.sandbox.id != dead
            await leased.session.check()


async def test_an_image_that_exits_at_once_is_said_to_fail_and_is_not_tried_without_pause():
    spec = SPEC.model_copy(update={"image": "exits"})
    engine = FakeEngine()
    async with pool_of(spec=spec, engine=engine) as pool:
        await until(lambda: pool.report()[0].failing != "")
        tries = int(engine.next_id().rpartition("-")[2])
        assert tries <= 3
        async with pool.lease(of_task("one", spec)) as leased:
            with pytest.raises(SandboxDiedError):
                await leased.session.check()


async def test_an_image_that_is_not_there_is_said_to_fail_and_a_call_hears_it():
    spec = SPEC.model_copy(update={"image": "none"})
    async with pool_of(spec=spec) as pool:
        await until(lambda: pool.report()[0].failing != "")
        with pytest.raises(ImageMissingError):
            async with pool.lease(of_task("one", spec)):
                pass


async def test_one_that_never_answers_is_not_ready_and_holds_nobody_up():
    spec = SPEC.model_copy(update={"image": "silent"})
    async with pool_of(spec=spec) as pool:
        async with pool.lease(of_task("one", spec)) as leased:
            assert not leased.was_warm
        assert pool.report()[0].ready == 0


async def test_after_the_engine_came_back_the_pool_is_filled_again():
    engine = FakeEngine()
    async with pool_of(floor=2, ceiling=2, engine=engine) as pool:
        await pool.filled()
        await engine.stop()
        with pytest.raises(EngineUnavailableError):
            async with pool.lease(of_task("one")):
                pass
        await engine.restart()
        async with pool.lease(of_task("two")) as leased:
            await leased.session.check()
        await until(lambda: pool.report()[0].ready >= 2)
        assert pool.report()[0].failing == ""


async def test_a_replaced_image_replaces_what_is_ready():
    engine = FakeEngine()
    async with pool_of(floor=1, ceiling=1, check_seconds=0.02, engine=engine) as pool:
        await pool.filled()
        (old,) = engine.running
        engine.image_ids["echo"] = "another"
        await until(lambda: old not in engine.running and pool.report()[0].ready > 0)


async def test_what_is_old_is_replaced():
    engine = FakeEngine()
    async with pool_of(floor=1, ceiling=1, check_seconds=0.02, max_age_seconds=0.1, engine=engine) as pool:
        await pool.filled()
        (old,) = engine.running
        await until(lambda: old not in engine.running and pool.report()[0].ready > 0)


async def _let_go_later(event: anyio.Event) -> None:
    await anyio.wait_all_tasks_blocked()
    event.set()


async def test_nobody_gets_one_that_is_about_to_end():
    ending: list[EchoSession] = []
    let_go = anyio.Event()

    @asynccontextmanager
    async def ending_slowly(sandbox: Sandbox) -> AsyncIterator[EchoSession]:
        async with warm(sandbox) as session:
            yield session
            ending.append(session)
            with anyio.CancelScope(shield=True):
                await let_go.wait()

    settings = PoolSettings(refill_pause_seconds=0, check_seconds=0.02, max_age_seconds=0.1)
    with anyio.fail_after(30):
        async with FakeBackend({"echo": echo}) as backend, Pool(backend, ending_slowly, settings) as pool:
            pool.want({SPEC.server: Wish(SPEC, 1, 1)})
            await until(lambda: bool(ending))
            pool.want({SPEC.server: Wish(SPEC, 0, 1)})
            old = list(ending)
            async with anyio.create_task_group() as group:
                group.start_soon(_let_go_later, let_go)
                async with pool.lease(of_task("one")) as leased:
                    assert leased.session not in old


async def test_what_is_not_wished_for_any_more_is_ended():
    engine = FakeEngine()
    async with pool_of(floor=2, engine=engine) as pool:
        await pool.filled()
        pool.want({})
        assert pool.report() == []
        await until(lambda: not engine.running)


async def test_all_servers_together_are_held_to_the_total():
    async with pool_of(floor=5, ceiling=5, total=2) as pool:
        await until(lambda: pool.report()[0].ready >= 2)
        await anyio.wait_all_tasks_blocked()
        assert (pool.report()[0].ready, pool.report()[0].starting) == (2, 0)


async def test_where_nothing_can_be_made_ahead_leases_go_on():
    with anyio.fail_after(30):
        async with (
            FakeBackend({"echo": echo}, can_mount=False) as backend,
            Pool(backend, warm, PoolSettings()) as pool,
        ):
            pool.want({"echo": Wish(SPEC, 2, 2)})
            assert pool.report() == []
            async with pool.lease(of_task("one")) as leased:
                assert not leased.was_warm


async def test_leaving_ends_what_nobody_claimed():
    engine = FakeEngine()
    async with pool_of(floor=3, engine=engine) as pool:
        await pool.filled()
        assert len(engine.running) == 3
    assert engine.running == {}
