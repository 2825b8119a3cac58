"""A container engine of a test's own, to be stopped and killed: `dockerd` and `containerd` in a private folder."""

from __future__ import annotations

import io
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread
from docker import APIClient
from docker.errors import DockerException

IMAGE = "muxi-test-tiny:1"
PROGRAMS = ("sh", "cat", "sleep")


class OwnEngine:
    """Started by `own_engine`. `IMAGE` is there, with `cat` for an echoing server."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.socket = root / "engine.sock"
        self.data = root / "data"
        self._log = root / "engine.log"
        self._engine: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        containerd = self._root / "containerd.sock"
        if self._containerd is None:
            folders = ("--root", self._root / "containerd", "--state", self._root / "containerd-state")
            self._containerd = self._run("containerd", "--address", containerd, *folders)
        self._engine = self._run(
            # In a network namespace of its own: with no bridge wanted, dockerd REMOVES the machine's docker0.
            *("unshare", "--net", "--"),
            *("dockerd", "--containerd", containerd, "-H", f"unix://{self.socket}"),
            *("--data-root", self.data, "--exec-root", self._root / "exec"),
            *("--pidfile", self._root / "engine.pid", "--bridge=none", "--iptables=false", "--ip-forward=false"),
        )
        while not await to_thread.run_sync(self._answers):
            assert self._engine.poll() is None, self._log.read_text()[-2000:]
            await anyio.sleep(0.05)

    def _run(self, *command: object) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)

    def _answers(self) -> bool:
        try:
            client = self.client()
        except (DockerException, OSError):
            return False
        with client:
            return bool(client.ping())

    def client(self) -> APIClient:
        """The SDK's client of it."""
        # The SDK leaks a socket for each connection that is refused.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
        return APIClient(base_url=f"unix://{self.socket}", version="auto")

    async def stop(self) -> None:
        """End it in order: its containers end too."""
        if self._engine is not None:
            self._engine.terminate()
            await to_thread.run_sync(self._engine.wait)
            self._engine = None

    async def kill(self) -> None:
        """SIGKILL: its containers run on without it."""
        assert self._engine is not None
        self._engine.kill()
        await to_thread.run_sync(self._engine.wait)
        self._engine = None
        # It could not take its socket and its number away.
        self.socket.unlink()
        (self._root / "engine.pid").unlink()

    async def close(self) -> None:
        """End it and what keeps its containers."""
        await self.stop()
        if self._containerd is not None:
            self._containerd.terminate()
            await to_thread.run_sync(self._containerd.wait)

    async def add_image(self) -> None:
        """Import `IMAGE`, made of this machine's own programs."""
        data = await to_thread.run_sync(_tiny_image)
        with self.client() as client:
            await to_thread.run_sync(client.import_image_from_data, data, *IMAGE.split(":"))


def _tiny_image() -> bytes:
    """A tar with a few programs and the libraries that they load."""
    sources = {f"bin/{name}": Path(shutil.which(name) or "") for name in PROGRAMS}
    for program in list(sources.values()):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+)", listed):
            sources[library.lstrip("/")] = Path(library)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in sources.items():
            tar.add(path.resolve(), arcname=name)
    return buffer.getvalue()


@asynccontextmanager
async def own_engine(*, disk_mib: int | None = None) -> AsyncIterator[OwnEngine]:
    """One engine, up, with its image; ended with all that it holds. `disk_mib`: all the room that it has."""
    # A short path: a Unix socket's name holds 107 bytes.
    root = Path(tempfile.mkdtemp(prefix="muxi-engine-"))
    engine = OwnEngine(root)
    engine.data.mkdir()
    if disk_mib:
        await anyio.run_process(["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "muxi-test", str(engine.data)])
    try:
        await engine.start()
        await engine.add_image()
        yield engine
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(30):
            await engine.close()
        _unmount(root)
        shutil.rmtree(root)


def _unmount(root: Path) -> None:
    """An engine mounts its own folder on itself and leaves it so, and a killed one leaves its containers' mounts."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed([point for point in points if Path(point).is_relative_to(root)]):
        subprocess.run(["umount", point], check=True)
