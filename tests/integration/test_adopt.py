"""Sandboxes that outlive the process that made them, on a real engine."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from docker import APIClient

from muxi_sandbox.conformance import guest_command
from muxi_sandbox.conformance.scene import ask
from muxi_sandbox.contract import KeptSandbox, Spec, WorkspaceAccess
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.errors import SandboxDiedError, SandboxError, SpecRefusedError


@pytest.fixture
def installation() -> str:
    return f"adopt-{secrets.token_hex(4)}"


@pytest.fixture(params=[True, False], ids=["mounts", "volumes"])
def settings(request: pytest.FixtureRequest, engine_socket: Path) -> EngineSettings:
    return EngineSettings(socket=engine_socket, mounts=request.param)


@pytest.fixture
def spec(python_image: str) -> Spec:
    return Spec(
        task="t-1", server="guest", image=python_image, command=guest_command(), workspace=WorkspaceAccess.WRITE
    )


@asynccontextmanager
async def left_behind(settings: EngineSettings, installation: str, spec: Spec) -> AsyncIterator[KeptSandbox]:
    """One whose first process has gone; whatever the test makes of it, nothing is left after it."""
    async with DockerBackend(settings, installation) as first, first.lease(spec) as lease:
        assert await ask(lease.sandbox, "write", name="a", text="kept") == "written"
        (kept,) = first.sandboxes("t-1")
        first.leave("t-1")
    yield kept
    async with DockerBackend(settings, installation) as last:
        await last.reap()


async def test_a_later_process_takes_it_over_with_its_files(
    settings: EngineSettings, installation: str, spec: Spec
) -> None:
    async with left_behind(settings, installation, spec) as kept, DockerBackend(settings, installation) as second:
        second.spare("t-1", [kept])
        assert await second.reap() == 0
        async with second.adopt(kept) as lease:
            assert lease.sandbox.id == kept.id
            assert await ask(lease.sandbox, "read", name="a") == "kept"
            async with second.lease(spec.model_copy(update={"server": "other"})) as other:
                assert not other.workspace_is_new
                assert await ask(other.sandbox, "read", name="a") == "kept"
        await second.end_task("t-1")
        assert await second.reap() == 0


async def test_a_paused_one_is_resumed(settings: EngineSettings, installation: str, spec: Spec) -> None:
    async with left_behind(settings, installation, spec) as kept, DockerBackend(settings, installation) as second:
        client = APIClient(base_url=f"unix://{settings.socket}", version="1.41")
        client.pause(kept.id)
        client.close()
        second.spare("t-1", [kept])
        async with second.adopt(kept) as lease:
            assert await ask(lease.sandbox, "echo", text="on") == "on"


async def test_one_that_is_not_spared_is_reaped(settings: EngineSettings, installation: str, spec: Spec) -> None:
    async with left_behind(settings, installation, spec) as kept, DockerBackend(settings, installation) as second:
        assert await second.reap() == 2
        with pytest.raises(SandboxError):
            async with second.adopt(kept):
                pass


async def test_one_that_ended_meanwhile_is_not_taken_over_and_its_files_are_there_where_the_host_mounts(
    settings: EngineSettings, installation: str, spec: Spec
) -> None:
    async with left_behind(settings, installation, spec) as kept, DockerBackend(settings, installation) as second:
        client = APIClient(base_url=f"unix://{settings.socket}", version="1.41")
        client.kill(kept.id)
        client.wait(kept.id)
        client.close()
        second.spare("t-1", [kept])
        with pytest.raises(SandboxDiedError):
            async with second.adopt(kept):
                pass
        async with second.lease(spec) as lease:
            assert lease.workspace_is_new is not settings.mounts


@pytest.mark.promise("kept-is-the-same")
@pytest.mark.parametrize("changes", [{"task": "t-2"}, {"server": "other"}, {"image": "x"}])
async def test_another_tasks_or_servers_sandbox_is_never_taken_over(
    settings: EngineSettings, installation: str, spec: Spec, changes: dict[str, str]
) -> None:
    async with left_behind(settings, installation, spec) as kept, DockerBackend(settings, installation) as second:
        second.spare("t-1", [kept])
        forged = KeptSandbox(kept.name, kept.id, spec.model_copy(update=changes), kept.volume, kept.read_only)
        if "image" in changes:
            forged = KeptSandbox("muxi-another", kept.id, spec, kept.volume, kept.read_only)
        with pytest.raises(SandboxError):
            async with second.adopt(forged):
                pass


@pytest.mark.promise("kept-is-the-same")
async def test_one_without_the_defences_that_its_spec_asks_for_is_not_taken_over(
    settings: EngineSettings, installation: str, spec: Spec
) -> None:
    async with left_behind(settings, installation, spec) as kept, DockerBackend(settings, installation) as second:
        second.spare("t-1", [kept])
        stricter = spec.limits.model_copy(update={"pids": 16})
        forged = KeptSandbox(
            kept.name, kept.id, spec.model_copy(update={"limits": stricter}), kept.volume, kept.read_only
        )
        with pytest.raises(SpecRefusedError, match="PidsLimit"):
            async with second.adopt(forged):
                pass
