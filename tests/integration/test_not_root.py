"""Sandboxes for a user who is not root: in a process of its own, since rights are a process's."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muxi_sandbox.docker.slots import RunFolder
from muxi_sandbox.errors import SandboxError

# Once as root, so that all is imported by then: the interpreter's own files need not be readable for others.
PROGRAM = """
import os, shutil, sys
from pathlib import Path

import anyio

from muxi_sandbox.contract import Spec, WorkspaceAccess
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

GUEST = '''
import sys
for line in sys.stdin:
    with open('/workspace/f', 'a') as file: file.write(line)
    print(open('/workspace/f').read().strip(), flush=True)
'''


async def main(settings: EngineSettings, image: str) -> None:
    async with DockerBackend(settings, f"not-root-{os.getpid()}") as backend:
        health = await backend.health()
        mounts = next(check for check in health.checks if check.name == "mounts")
        assert health.ok and "as safe, and slower" in mounts.detail, health
        command = ("python3", "-c", GUEST)
        spec = Spec(task="t", server="s", image=image, command=command, workspace=WorkspaceAccess.WRITE)
        async with backend.lease(spec) as lease:
            await lease.sandbox.send(b"mine")
            assert await lease.sandbox.receive() == b"mine"
            entries, _ = await backend.files("t").entries()
            assert [entry.path for entry in entries] == ["f"], entries
        await backend.end_task("t")


socket, image, user = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
anyio.run(main, EngineSettings(socket=socket, mounts=False), image)
os.setgroups([])
os.setgid(socket.stat().st_gid)
os.setuid(user)
settings = EngineSettings(socket=socket)
assert settings.run_root == Path(f"/tmp/muxi-runtime-{user}"), settings.run_root
anyio.run(main, settings, image)
assert not any(settings.run_root.glob("*/slots/*")), list(settings.run_root.rglob("*"))
shutil.rmtree(settings.run_root)
print("well")
"""


@pytest.mark.timeout(120)
def test_somebody_who_may_not_mount_gets_sandboxes_with_workspaces(engine_socket: Path, python_image: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(engine_socket), python_image, str(60_000 + os.getpid() % 1000)],
        env={"PATH": os.environ["PATH"]},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr[-3000:]


def test_a_run_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    theirs = tmp_path / "run"
    theirs.mkdir()
    os.chown(theirs, 60_000, 60_000)
    with pytest.raises(SandboxError, match="not a folder of this user alone"):
        RunFolder(theirs, "x").slot("y")
    ours = tmp_path / "open"
    ours.mkdir()
    ours.chmod(0o777)
    with pytest.raises(SandboxError, match="not a folder of this user alone"):
        RunFolder(ours, "x").slot("y")
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(SandboxError, match="not a folder of this user alone"):
        RunFolder(link, "x").slot("y")


def test_a_lock_that_somebody_else_laid_out_is_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    lock = tmp_path / "run.lock"
    lock.symlink_to(precious)
    followed = RunFolder(tmp_path / "run", "x")
    followed.open(may_mount=True)
    assert not followed.can_mount
    assert precious.read_text() == "mine"
    lock.unlink()
    lock.touch(mode=0o666)
    os.chown(lock, 60_000, 60_000)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        theirs = RunFolder(tmp_path / "run", "x")
        theirs.open(may_mount=True)
    assert "somebody else" in theirs.why_not
