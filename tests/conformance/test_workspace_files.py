"""Every implementation of the files of a workspace passes the suite that is shipped beside their contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from engine_state import installation

from muxi_sandbox.contract import Limits, Spec, WorkspaceAccess
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.hardening import workspace_flags
from muxi_sandbox.docker.mounts import mount_tmpfs, unmount
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.fake_workspace import FakeWorkspace
from muxi_sandbox.workspaces.conformance import CHECKS
from muxi_sandbox.workspaces.contract import WorkspaceFiles
from muxi_sandbox.workspaces.folder import FolderFiles
from muxi_sandbox.workspaces.memory import MemoryFiles

LIMITS = Limits(workspace_mib=4, workspace_inodes=64)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    mount_tmpfs(tmp_path, workspace_flags(LIMITS), executable=True)
    yield tmp_path
    unmount(tmp_path)


@pytest.mark.parametrize("check", sorted(CHECKS))
async def test_files_in_a_mounted_folder_conform(check: str, mounted: Path) -> None:
    await CHECKS[check](FolderFiles(lambda: mounted))


@pytest.mark.parametrize("check", sorted(CHECKS))
async def test_files_in_memory_conform(check: str) -> None:
    workspace = FakeWorkspace.of(LIMITS)
    await CHECKS[check](MemoryFiles(lambda: workspace))


HOLD = "import sys; sys.stdin.read()"


@pytest.fixture
async def in_a_volume(engine_socket: Path, python_image: str) -> AsyncIterator[WorkspaceFiles]:
    settings = EngineSettings(socket=engine_socket, mounts=False)
    async with DockerBackend(settings, installation("files-suite")) as backend:
        spec = Spec(
            task="files",
            server="holder",
            image=python_image,
            command=("python3", "-c", HOLD),
            workspace=WorkspaceAccess.WRITE,
            limits=LIMITS,
        )
        async with backend.lease(spec):
            yield backend.files("files")
        await backend.end_task("files")


@pytest.mark.parametrize("check", sorted(CHECKS))
async def test_files_in_a_volume_of_the_engine_conform(check: str, in_a_volume: WorkspaceFiles) -> None:
    await CHECKS[check](in_a_volume)
