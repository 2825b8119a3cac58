"""The Docker backend when the engine or the host fails."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from docker import APIClient
from engine_state import installation
from own_engine import IMAGE, OwnEngine, own_engine

from muxi_sandbox.contract import Limits, Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.errors import EngineRestartedError, EngineUnavailableError, SandboxDiedError, StartFailedError

pytestmark = pytest.mark.timeout(120)

SANDBOXES = 10


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    async with own_engine() as engine:
        yield engine


def echo(**changes: object) -> Spec:
    return Spec.model_validate(
        {"task": "t", "server": "echo", "image": IMAGE, "command": ("/bin/cat",), "workspace": "write", **changes}
    )


def backend_of(engine: OwnEngine, grace_seconds: float) -> DockerBackend:
    return DockerBackend(
        EngineSettings(socket=engine.socket, restart_grace_seconds=grace_seconds), installation("restart")
    )


@pytest.mark.promise("failures-are-errors")
async def test_an_engine_that_is_stopped_in_mid_call_is_unavailable(engine: OwnEngine) -> None:
    async with backend_of(engine, grace_seconds=0.3) as backend:
        async with backend.lease(echo()) as lease:
            await lease.sandbox.send(b"hello")
            assert await lease.sandbox.receive() == b"hello"
            async with anyio.create_task_group() as group:
                group.start_soon(engine.stop)
                with pytest.raises(EngineUnavailableError, match="went away"):
                    await lease.sandbox.receive()
            with pytest.raises(EngineUnavailableError):
                await lease.sandbox.send(b"again")
        with pytest.raises(EngineUnavailableError, match=str(engine.socket)):
            async with backend.lease(echo()):
                pass
        assert not (await backend.health()).ok


@pytest.mark.promise("failures-are-errors")
async def test_an_engine_that_is_restarted_in_mid_lease_is_told_and_the_next_lease_works(engine: OwnEngine) -> None:
    async with backend_of(engine, grace_seconds=60) as backend:
        async with backend.lease(echo()) as lease, anyio.create_task_group() as group:

            async def restart() -> None:
                await engine.kill()
                await engine.start()

            group.start_soon(restart)
            with pytest.raises(EngineRestartedError, match="restarted"):
                await lease.sandbox.receive()
            with pytest.raises(EngineRestartedError):
                await lease.sandbox.send(b"again")
        async with backend.lease(echo()) as lease:
            assert not lease.workspace_is_new  # the host holds it, not the engine
            await lease.sandbox.send(b"hello")
            assert await lease.sandbox.receive() == b"hello"
        await backend.end_task("t")
        assert await backend.reap() == 0


@pytest.mark.promise("nothing-left-over")
async def test_what_could_not_be_removed_is_removed_when_the_engine_is_back(engine: OwnEngine) -> None:
    async with backend_of(engine, grace_seconds=0.3) as backend:
        async with backend.lease(echo(workspace="none")):
            await engine.kill()
        await engine.start()
        with engine.client() as client:
            while client.containers(all=True):  # noqa: ASYNC110  # the engine's list has no event to wait for
                await anyio.sleep(0.05)


async def test_entering_needs_no_engine_and_a_late_one_is_used(engine: OwnEngine) -> None:
    await engine.stop()
    async with backend_of(engine, grace_seconds=60) as backend, anyio.create_task_group() as group:
        group.start_soon(engine.start)
        async with backend.lease(echo()) as lease:
            await lease.sandbox.send(b"hello")
            assert await lease.sandbox.receive() == b"hello"


HOST = """
import anyio, sys
from pathlib import Path
from muxi_sandbox.contract import Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

async def hold(backend, number):
    spec = Spec(task=f"task-{number}", server="echo", image=sys.argv[2], command=("cat",), workspace="write")
    async with backend.lease(spec) as lease:
        await lease.sandbox.send(b"hello")
        assert await lease.sandbox.receive() == b"hello"
        print("open", flush=True)
        await anyio.sleep_forever()

async def main():
    settings = EngineSettings(socket=Path(sys.argv[1]))
    async with DockerBackend(settings, sys.argv[4]) as backend, anyio.create_task_group() as group:
        for number in range(int(sys.argv[3])):
            group.start_soon(hold, backend, number)

anyio.run(main)
"""


def of_installation(socket: Path, name: str) -> tuple[list[dict], list[dict]]:
    filters = {"label": f"muxi.installation={name}"}
    with APIClient(base_url=f"unix://{socket}", version="auto") as client:
        return client.containers(all=True, filters=filters), client.volumes(filters=filters)["Volumes"] or []


@pytest.mark.promise("nothing-left-over")
@pytest.mark.parametrize("opened", [SANDBOXES, 1], ids=["with all open", "while creating"])
async def test_a_host_killed_with_ten_sandboxes_leaves_none_after_the_next_reap(
    engine_socket: Path, python_image: str, opened: int
) -> None:
    command = [
        sys.executable,
        "-c",
        HOST,
        str(engine_socket),
        python_image,
        str(SANDBOXES),
        installation("killed-host"),
    ]
    async with await anyio.open_process(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as host:
        assert host.stdout is not None
        seen = b""
        while seen.count(b"open") < opened:
            seen += await host.stdout.receive()
        host.send_signal(signal.SIGKILL)
        await host.wait()
    async with DockerBackend(EngineSettings(socket=engine_socket), installation("killed-host")) as backend:
        assert await backend.reap() >= opened
        # What the engine was still creating for the dead host comes to light after a moment.
        while await backend.reap():
            pass
        assert of_installation(engine_socket, installation("killed-host")) == ([], [])


async def test_a_container_that_someone_removes_is_told(engine_socket: Path, python_image: str) -> None:
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation("removed-by-hand")) as backend,
        backend.lease(echo(image=python_image)) as lease,
    ):
        with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
            client.remove_container(lease.sandbox.id, force=True)
        with pytest.raises(SandboxDiedError):
            await lease.sandbox.receive()


async def test_a_start_that_takes_too_long_is_said_and_leaves_nothing(engine_socket: Path, python_image: str) -> None:
    async with DockerBackend(EngineSettings(socket=engine_socket), installation("too-slow")) as backend:
        with pytest.raises(StartFailedError, match="start_seconds"):
            async with backend.lease(echo(image=python_image, limits=Limits(start_seconds=0.01))):
                pass
        await backend.end_task("t")
        assert of_installation(engine_socket, installation("too-slow")) == ([], [])


async def test_what_the_engine_has_carries_the_labels(engine_socket: Path, python_image: str) -> None:
    async with (
        DockerBackend(EngineSettings(socket=engine_socket, mounts=False), installation("labelled")) as backend,
        backend.lease(echo(image=python_image)) as lease,
    ):
        containers, volumes = of_installation(engine_socket, installation("labelled"))
        assert [container["Id"] for container in containers] == [lease.sandbox.id]
        labels = containers[0]["Labels"]
        assert (labels["muxi.task"], labels["muxi.server"], labels["muxi.pid"]) == ("t", "echo", str(os.getpid()))
        assert [volume["Labels"]["muxi.task"] for volume in volumes] == ["t"]
