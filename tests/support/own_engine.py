"""A container engine of a test's own, that may be stopped and killed: `dockerd` on a private socket and folder."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            "dockerd",
            *("--data-root", self._root / "data", "--exec-root", self._root / "exec"),
            *("--pidfile", self._root / "engine.pid", "-H", f"unix://{self.socket}"),
            *("--bridge=none", "--iptables=false", "--ip-forward=false"),
        ]
        with (self._root / "engine.log").open("ab") as log:
            self._process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)  # noqa: ASYNC220  # returns at once
        while not await to_thread.run_sync(self._answers):
            assert self._process.poll() is None, (self._root / "engine.log").read_text()[-2000:]
            await anyio.sleep(0.05)

    def _answers(self) -> bool:
        try:
            client = self.client()
        except DockerException:
            return False
        with client:
            return bool(client.ping())

    def client(self) -> APIClient:
        """The SDK's client of it."""
        if not self.socket.exists():
            raise DockerException("not there yet")
        return APIClient(base_url=f"unix://{self.socket}", version="auto")

    async def stop(self) -> None:
        """End it in order: its containers end too."""
        await self._end("terminate")

    async def kill(self) -> None:
        """SIGKILL: its containers run on without it."""
        await self._end("kill")
        # It could not take its socket and its number away.
        self.socket.unlink()
        (self._root / "engine.pid").unlink()

    async def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is not None:
            getattr(process, how)()
            await to_thread.run_sync(process.wait)

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
async def own_engine() -> AsyncIterator[OwnEngine]:
    """One engine, up, with its image; ended with all that it holds."""
    # A short path: a Unix socket's name holds 107 bytes.
    root = Path(tempfile.mkdtemp(prefix="muxi-engine-"))
    engine = OwnEngine(root)
    try:
        await engine.start()
        await engine.add_image()
        yield engine
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(30):
            await engine.stop()
            await _end_containerd(root)
        shutil.rmtree(root, ignore_errors=True)


async def _end_containerd(root: Path) -> None:
    """What a killed engine started is not its successor's child, and so not ended by it."""
    pidfile = root / "exec" / "containerd" / "containerd.pid"
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int(pidfile.read_text())
        os.kill(pid, 15)
        while Path(f"/proc/{pid}").exists():
            await anyio.sleep(0.05)
