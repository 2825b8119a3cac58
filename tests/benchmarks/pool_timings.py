"""What is timed of the pool: a claim, a first call, a crowd, and other calls while it refills."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from docker import APIClient
from tests.benchmarks.http_calls import HttpCalls, http_calls
from tests.benchmarks.timings import Measure, spec_of, timed

from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.handshake import open_session
from muxi_sandbox.contract import Backend
from muxi_sandbox.egress.contract import Destination, Peer, Verdict
from muxi_sandbox.pool.pool import Pool, Wish
from muxi_sandbox.pool.settings import PoolSettings

__all__ = ["OpenGate", "claim_measures", "crowd", "engine_crowd", "first_call_measures", "refill_samples"]

AT_ONCE = 8
"""Containers that are made at the same time, by the pool and by the engine alone."""
SERVER = "files"
SETTLE_SECONDS = 0.5
"""Until the engine has done away with what was removed."""


class OpenGate:
    """Lets everything through that the profile names, and writes nothing down."""

    async def decide(self, _peer: Peer, _destination: Destination) -> Verdict:
        return Verdict(allowed=True, rule="bench")

    async def tell(self, _peer: Peer, _kind: str, _facts: Mapping[str, Any]) -> None:
        return


def claim_measures(backend: Backend, image: str) -> list[Measure]:
    """The claim of a container that runs: workspace mounted, egress socket listening."""
    numbers = count(10_000)

    async def claim() -> float:
        spec = spec_of(image, 0).model_copy(update={"task": None, "network": ("example.org",)})
        task = f"bench-{next(numbers)}"
        async with backend.prepare(spec) as prepared:
            taken = await timed(partial(prepared.claim, task))
        await backend.end_task(task)
        return taken

    return [Measure("warm claim: workspace mounted, egress listening", claim, repeat=4)]


@asynccontextmanager
async def first_call_measures(url: str) -> AsyncIterator[list[Measure]]:
    """A new task's first call of a server that is held ready, over HTTP."""
    async with http_calls(url) as calls:

        async def first() -> float:
            await until_ready(calls)
            task = await calls.new_task()
            taken = await timed(partial(calls.call, f"{SERVER}__stat", {"path": "."}, task))
            await calls.end_task(task)
            return taken

        yield [Measure("warm claim and first call over HTTP", first, repeat=2)]


async def until_ready(calls: HttpCalls, least: int = 1) -> None:
    """Wait for the pool; what it costs is not timed."""
    with anyio.fail_after(60):
        while await calls.ready(SERVER) < least:  # noqa: ASYNC110  # it happens in another process
            await anyio.sleep(0.05)


async def refill_samples(url: str, each: int) -> tuple[list[float], list[float]]:
    """Calls on a sandbox that is leased already, in turns: while nothing else happens, and while the pool refills."""
    still: list[float] = []
    busy: list[float] = []
    async with http_calls(url) as calls:
        task = await calls.new_task()
        call = partial(calls.call, f"{SERVER}__stat", {"path": "."}, task)
        await call()
        while len(busy) < each:
            await until_ready(calls)
            others: list[str] = []
            while await calls.ready(SERVER) > 0:
                others.append(await calls.new_task())
                await calls.call(f"{SERVER}__stat", {"path": "."}, others[-1])
            before = len(busy)
            while await calls.ready(SERVER) < 1:
                busy += [await timed(call) for _ in range(5)]
            for other in others:
                await calls.end_task(other)
            await anyio.sleep(SETTLE_SECONDS)
            still += [await timed(call) for _ in range(len(busy) - before)]
        await calls.end_task(task)
    return still, busy


async def crowd(backend: Backend, image: str, tasks: int, held: int) -> float:
    """Milliseconds until so many tasks, all at once, have their sandbox with its server answering."""
    settings = PoolSettings(total=held, cold_at_once=AT_ONCE, refill_pause_seconds=0)
    warm = partial(open_session, eras=Eras(), handshake_seconds=60)
    async with Pool(backend, warm, settings) as pool:
        pool.want({SERVER: Wish(spec_of(image, 0, SERVER), held, held)})
        await pool.filled()
        there = anyio.Semaphore(0)
        enough = anyio.Event()

        async def one(number: int) -> None:
            async with pool.lease(spec_of(image, 20_000 + number, SERVER)):
                there.release()
                await enough.wait()
            await backend.end_task(f"bench-{20_000 + number}")

        async with anyio.create_task_group() as group:
            started = time.perf_counter()
            for number in range(tasks):
                group.start_soon(one, number)
            for _ in range(tasks):
                await there.acquire()
            taken = (time.perf_counter() - started) * 1000
            pool.want({})
            enough.set()
    return taken


async def engine_crowd(socket: Path, image: str, containers: int) -> float:
    """Milliseconds that the engine alone takes to make and start so many, with its own defaults."""
    client = APIClient(base_url=f"unix://{socket}", version="auto", num_pools=AT_ONCE, timeout=300)

    def start(_: int) -> str:
        made: str = client.create_container(image, ["sleep", "600"], labels={"muxi.bench": "1"})["Id"]
        client.start(made)
        return made

    def run() -> float:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            started = time.perf_counter()
            made = list(threads.map(start, range(containers)))
            taken = (time.perf_counter() - started) * 1000
            list(threads.map(partial(client.remove_container, force=True), made))
        return taken

    try:
        return await to_thread.run_sync(run)
    finally:
        client.close()
