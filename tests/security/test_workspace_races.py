"""A hostile program changes the workspace while the host reads and writes it: nothing outside is read or touched."""

from __future__ import annotations

import io
from pathlib import Path

import anyio
import pytest
from engine_state import installation

from muxi_sandbox.contract import Spec, WorkspaceAccess
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.workspaces.contract import Bounds, WorkspaceError
from muxi_sandbox.workspaces.tar import Reader, end, header

HOSTILE = r"""
import os, sys
os.chdir("/workspace")
os.mkfifo("pipe")
os.symlink("/etc/passwd", "link")
with open("sparse", "wb") as sparse:
    sparse.truncate(2**40)
open(b"bad\xff", "w").close()
open("new\nline", "w").close()
for n in range(200):
    os.symlink(os.environ["TARGET"], f"farm{n}")
os.mkdir("deep"); os.chdir("deep")
for _ in range(1000):
    os.mkdir("d"); os.chdir("d")
os.chdir("/workspace")
os.mkdir("real")
open("real/secret", "w").write("harmless")
os.symlink(os.environ["TARGET"], "fake")
os.rename("real", "swap")
print("ready", flush=True)
def quietly(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        pass
turn = 0
while True:
    turn += 1
    quietly(os.rename, "swap", "real"); quietly(os.rename, "fake", "swap")
    quietly(os.rename, "swap", "fake"); quietly(os.rename, "real", "swap")
    if os.path.isdir("real") and os.path.isdir("swap"):  # the writer made one while there was none
        quietly(os.rename, "swap", f"made{turn}")
"""


def contents(data: bytes) -> dict[str, bytes]:
    reader = Reader(io.BytesIO(data), Bounds())
    return {"/".join(m.parts): b"".join(reader.content()) for m in reader.members() if not m.is_folder}


@pytest.mark.promise("workspace-host-stays-inside")
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("mounts", "turns"), [(True, 300), (False, 15)], ids=["mounted", "a volume"])
async def test_links_swapped_in_a_loop_lead_neither_reader_nor_writer_out(
    engine_socket: Path, python_image: str, tmp_path: Path, *, mounts: bool, turns: int
) -> None:
    target = tmp_path / "outside"
    await anyio.Path(target).mkdir()
    await anyio.Path(target / "secret").write_text("of the host")
    spec = Spec(
        task="races",
        server="hostile",
        image=python_image,
        command=("python3", "-c", HOSTILE),
        environment={"TARGET": str(target)},
        workspace=WorkspaceAccess.WRITE,
    )
    async with DockerBackend(
        EngineSettings(socket=engine_socket, mounts=mounts), installation("workspace-races")
    ) as backend:
        async with backend.lease(spec) as lease:
            assert await lease.sandbox.receive() == b"ready"
            files = backend.files("races")
            packed = refused = turn = 0
            while turn < turns or not (packed and refused):
                turn += 1
                assert lease.sandbox.failure is None
                out = io.BytesIO()
                try:
                    await files.pack("swap", out)
                except WorkspaceError:
                    refused += 1  # the link was in its place
                else:
                    packed += 1
                    assert contents(out.getvalue()).get("secret", b"harmless") == b"harmless"
                written = io.BytesIO(header(f"new{turn}", is_folder=False, size=1) + b"x" + bytes(511) + end())
                try:
                    await files.unpack(written, "swap")
                except WorkspaceError:
                    continue
            whole = io.BytesIO()
            report = await files.pack("", whole)
            assert report.left_out >= 200
            assert b"of the host" not in whole.getvalue()
            assert b"root:" not in whole.getvalue()
        await backend.end_task("races")
    assert [path.name for path in sorted(target.glob("*"))] == ["secret"]
    assert await anyio.Path(target / "secret").read_text() == "of the host"
