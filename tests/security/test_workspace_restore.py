"""A program that works against a restore: it ends, whole or not at all, and nothing outside is touched."""

from __future__ import annotations

import io
from pathlib import Path

import anyio
import pytest
from engine_state import installation

from muxi_sandbox.contract import Spec, WorkspaceAccess
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.workspaces.contract import WorkspaceError
from muxi_sandbox.workspaces.tar import end, header

HOSTILE = r"""
import os, sys
os.chdir("/workspace")
print("ready", flush=True)
turn = 0
def quietly(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        pass
while True:
    turn += 1
    quietly(os.mkdir, "kept")                        # a folder where a file is to come
    quietly(os.symlink, os.environ["TARGET"], "folder")  # a link where a folder is to come
    for name in os.listdir("."):
        if name.startswith(".muxi-"):                # what the host builds in private
            quietly(os.listdir, name)
            quietly(os.rename, name, f"taken{turn}")
            quietly(os.symlink, os.environ["TARGET"], name)
    quietly(os.unlink, "folder")
    quietly(os.rename, "folder", f"moved{turn % 7}")
"""


def snapshot() -> io.BytesIO:
    return io.BytesIO(
        header("folder", is_folder=True)
        + header("folder/secret", is_folder=False, size=3)
        + b"new"
        + bytes(509)
        + header("kept", is_folder=False, size=1)
        + b"x"
        + bytes(511)
        + end()
    )


@pytest.mark.promise("workspace-host-stays-inside")
@pytest.mark.timeout(400)
async def test_a_restore_ends_while_a_program_is_in_its_way_and_touches_nothing_outside(
    engine_socket: Path, python_image: str, tmp_path: Path
) -> None:
    target = tmp_path / "outside"
    await anyio.Path(target).mkdir()
    await anyio.Path(target / "secret").write_text("of the host")
    spec = Spec(
        task="restores",
        server="hostile",
        image=python_image,
        command=("python3", "-c", HOSTILE),
        environment={"TARGET": str(target)},
        workspace=WorkspaceAccess.WRITE,
    )
    async with DockerBackend(EngineSettings(socket=engine_socket), installation("workspace-restores")) as backend:
        async with backend.lease(spec) as lease:
            assert await lease.sandbox.receive() == b"ready"
            files = backend.files("restores")
            for _ in range(40):
                try:
                    report = await files.replace(snapshot())
                except WorkspaceError:
                    continue
                assert (report.files, report.folders) == (2, 1)
        # Nobody is in the way any more: it is exactly what it should be, whatever was left before.
        await files.replace(snapshot())
        entries, report = await files.entries()
        assert [(entry.path, entry.kind) for entry in entries] == [("folder", "folder"), ("kept", "file")]
        assert report.left_out == 0
        await backend.end_task("restores")
    assert [path.name for path in target.iterdir()] == ["secret"]
    assert await anyio.Path(target / "secret").read_text() == "of the host"
