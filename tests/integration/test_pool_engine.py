"""The pool on a real engine that goes away, refuses, or runs out of room, and comes back."""

from __future__ import annotations

import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from engine_state import installation
from own_engine import IMAGE, OwnEngine, own_engine

from muxi_sandbox.contract import Sandbox, Spec
from muxi_sandbox.docker import mounts
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.errors import EngineRestartedError, EngineUnavailableError, SandboxError
from muxi_sandbox.pool.pool import Pool, Wish
from muxi_sandbox.pool.settings import PoolSettings

pytestmark = pytest.mark.timeout(170)

AWAY_SECONDS = 30
LEASES = 20
ECHO = Spec(server="echo", image=IMAGE, command=("/bin/cat",), workspace="write")  # type: ignore[arg-type]


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    async with own_engine() as engine:
        yield engine


class Echo:
    """A session with `cat`: what is sent comes back."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.ended = anyio.Event()

    async def check(self) -> None:
        try:
            await self._sandbox.send(b"hello")
            assert await self._sandbox.receive() == b"hello"
        except SandboxError:
            self.ended.set()
            raise


@asynccontextmanager
async def warm(sandbox: Sandbox) -> AsyncIterator[Echo]:
    yield Echo(sandbox)


def of_task(number: int, **changes: object) -> Spec:
    return ECHO.model_copy(update={"task": f"t-{number}", **changes})


async def test_twenty_leases_end_with_an_error_when_the_engine_goes_and_new_ones_work_when_it_is_back(
    engine: OwnEngine,
) -> None:
    errors: list[Exception] = []
    there = anyio.Semaphore(0)
    settings = EngineSettings(socket=engine.socket, restart_grace_seconds=0.5)
    async with (
        DockerBackend(settings, installation("pool-engine")) as backend,
        Pool(backend, warm, PoolSettings(floor=2, ceiling=2)) as pool,
    ):
        pool.want({"echo": Wish(ECHO, 2, 2)})

        async def hold(number: int) -> None:
            async with pool.lease(of_task(number)) as leased:
                await leased.session.check()
                there.release()
                with pytest.raises((EngineRestartedError, EngineUnavailableError)) as ended:
                    await leased.lease.sandbox.receive()
                errors.append(ended.value)

        async with anyio.create_task_group() as group:
            for number in range(LEASES):
                group.start_soon(hold, number)
            for _ in range(LEASES):
                await there.acquire()
            await engine.kill()
        assert len(errors) == LEASES
        with pytest.raises(EngineUnavailableError):
            async with pool.lease(of_task(LEASES)):
                pass
        await anyio.sleep(AWAY_SECONDS)
        await engine.start()
        await in_the_end_it_works(pool, 100)
        for number in (*range(LEASES + 1), 100):
            await backend.end_task(f"t-{number}")
    async with DockerBackend(settings, installation("pool-engine")) as afterwards:
        await afterwards.reap()
        assert await afterwards.reap() == 0


async def in_the_end_it_works(pool: Pool[Echo], number: int) -> None:
    """The engine answers, but the backend may notice a moment later."""
    with anyio.fail_after(60):
        while True:
            try:
                async with pool.lease(of_task(number)) as leased:
                    await leased.session.check()
                    return
            except EngineUnavailableError:
                await anyio.sleep(0.1)


async def test_an_image_that_exits_at_once_and_one_that_floods_hurt_nobody_else(engine: OwnEngine) -> None:
    async with (
        DockerBackend(EngineSettings(socket=engine.socket), installation("pool-engine")) as backend,
        Pool(backend, warm, PoolSettings(floor=1, ceiling=1)) as pool,
    ):
        exits = ECHO.model_copy(update={"server": "exits", "command": ("/bin/sh", "-c", "exit 3")})
        floods = ECHO.model_copy(
            update={"server": "floods", "command": ("/bin/sh", "-c", "while :; do echo $0$0$0$0$0$0$0; done")}
        )
        pool.want({"echo": Wish(ECHO, 1, 1), "exits": Wish(exits, 1, 1), "floods": Wish(floods, 1, 1)})
        with anyio.fail_after(60):
            while not pool.report()[1].failing or pool.report()[0].ready < 1:  # noqa: ASYNC110  # in the pool's time
                await anyio.sleep(0.05)
        assert "exited with code 3" in pool.report()[1].failing
        async with pool.lease(of_task(1)) as leased:
            await leased.session.check()
        await backend.end_task("t-1")


async def test_a_host_without_descriptors_says_so_and_recovers(engine: OwnEngine) -> None:
    async with DockerBackend(
        EngineSettings(socket=engine.socket, remove_seconds=2), installation("pool-engine")
    ) as backend:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        held: list[int] = []
        highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208  # no thread needed for it
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
        try:
            with suppress(OSError):
                while True:  # numbers below the limit may be free
                    held.append(os.dup(0))
            with pytest.raises(SandboxError):
                async with backend.lease(of_task(1)):
                    pass
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in held:
                os.close(descriptor)
        async with backend.lease(of_task(1)) as lease:
            await lease.sandbox.send(b"on")
            assert await lease.sandbox.receive() == b"on"
        await backend.end_task("t-1")
        await in_the_end_nothing_is_left(engine)


async def in_the_end_nothing_is_left(engine: OwnEngine) -> None:
    """What could not be removed is tried again."""
    with engine.client() as client, anyio.fail_after(60):
        while client.containers(all=True):  # noqa: ASYNC110  # the engine's list has no event to wait for
            await anyio.sleep(0.1)


async def test_a_full_run_folder_hurts_nobody(engine: OwnEngine, tmp_path: Path) -> None:
    """Folders and mounts take no room of it; nothing in a sandbox can write there."""
    async with DockerBackend(
        EngineSettings(socket=engine.socket, run_folder=tmp_path), installation("full")
    ) as backend:
        with pytest.raises(OSError, match="No space"):
            fill(tmp_path / "filler")
        async with backend.lease(of_task(1)) as lease:
            await lease.sandbox.send(b"on")
            assert await lease.sandbox.receive() == b"on"
        await backend.end_task("t-1")
        assert await backend.reap() == 0
    unmount(tmp_path)


async def test_an_engine_whose_disk_is_full_says_so_and_what_runs_goes_on() -> None:
    async with (
        own_engine(disk_mib=64) as engine,
        DockerBackend(EngineSettings(socket=engine.socket), installation("disk")) as backend,
        backend.lease(of_task(1)) as lease,
    ):
        with pytest.raises(OSError, match="No space"):
            fill(engine.data / "filler")
        with pytest.raises(SandboxError, match="no space left"):
            async with backend.lease(of_task(2)):
                pass
        await lease.sandbox.send(b"on")
        assert await lease.sandbox.receive() == b"on"
        (engine.data / "filler").unlink()
        async with backend.lease(of_task(3)) as again:
            await again.sandbox.send(b"again")
            assert await again.sandbox.receive() == b"again"
        await lease.sandbox.send(b"still")
        assert await lease.sandbox.receive() == b"still"


def fill(path: Path) -> None:
    with path.open("wb") as file:
        while True:
            file.write(bytes(2**20))


def unmount(folder: Path) -> None:
    while mounts.unmount(folder):
        pass
