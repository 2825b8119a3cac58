"""Every backend passes the suite that is shipped beside the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from muxi_sandbox.conformance import CHECKS, Subject, guest_command, run
from muxi_sandbox.conformance.fake_guest import fake_guest
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.fake import FakeBackend, FakeEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def fake_engine() -> AsyncIterator[FakeEngine]:
    async with anyio.create_task_group() as tasks:
        yield FakeEngine(tasks)
        tasks.cancel_scope.cancel()


@pytest.fixture
def in_memory(fake_engine: FakeEngine) -> Subject:
    def connect(installation: str) -> FakeBackend:
        return FakeBackend({"guest": fake_guest}, engine=fake_engine, installation=installation)

    return Subject(connect, "guest", ("guest",))


@pytest.fixture
def docker(engine_socket: Path, python_image: str) -> Subject:
    settings = EngineSettings(socket=engine_socket)
    return Subject(lambda installation: DockerBackend(settings, installation), python_image, guest_command())


@pytest.fixture
def in_memory_without_mounts(fake_engine: FakeEngine) -> Subject:
    def connect(installation: str) -> FakeBackend:
        return FakeBackend({"guest": fake_guest}, engine=fake_engine, installation=installation, can_mount=False)

    return Subject(connect, "guest", ("guest",))


@pytest.fixture
def docker_without_mounts(engine_socket: Path, python_image: str) -> Subject:
    settings = EngineSettings(socket=engine_socket, mounts=False)
    return Subject(lambda installation: DockerBackend(settings, installation), python_image, guest_command())


@pytest.mark.parametrize("check", sorted(CHECKS))
async def test_in_memory_backend_conforms(check: str, in_memory: Subject) -> None:
    await run(check, in_memory)


@pytest.mark.parametrize("check", sorted(CHECKS))
async def test_docker_backend_conforms(check: str, docker: Subject) -> None:
    await run(check, docker)


@pytest.mark.parametrize(
    "check", sorted(name for name, one in CHECKS.items() if one.__module__.endswith(("claims", "adoption")))
)
async def test_in_memory_backend_conforms_without_mounts(check: str, in_memory_without_mounts: Subject) -> None:
    await run(check, in_memory_without_mounts)


@pytest.mark.parametrize(
    "check",
    sorted(
        name for name, one in CHECKS.items() if one.__module__.endswith(("claims", "workspaces", "leases", "adoption"))
    ),
)
async def test_docker_backend_conforms_without_mounts(check: str, docker_without_mounts: Subject) -> None:
    await run(check, docker_without_mounts)
