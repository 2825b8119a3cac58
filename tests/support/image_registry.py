"""A real registry of images, of Debian's package `docker-registry`, unpacked and not installed."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "muxi-runtime-tests"
PACKAGE = "docker-registry"
CONFIG = """
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: FOLDER}}
http: {addr: "127.0.0.1:PORT"}
"""


@dataclass
class Registry:
    """Stop it and start it at will; it keeps its port and what was pushed. The engine needs no TLS to loopback."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self.folder / "config.yml"
        config.write_text(CONFIG.replace("FOLDER", str(self.folder / "data")).replace("PORT", str(self.port)))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([_binary(), "serve", config], stdout=log, stderr=log)
        until = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, "the registry does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def image_registry(folder: Path) -> Iterator[Registry]:
    """One that runs, for the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    registry = Registry(folder, port)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def _binary() -> Path:
    binary = CACHE / PACKAGE / "usr/bin/docker-registry"
    if not binary.exists():
        folder = CACHE / "packages"
        folder.mkdir(parents=True, exist_ok=True)
        if _run(folder, "apt-get", "download", PACKAGE) != 0:
            assert _run(folder, "apt-get", "update") == 0
            assert _run(folder, "apt-get", "download", PACKAGE) == 0, f"apt-get gives no {PACKAGE}"
        package = next(folder.glob(f"{PACKAGE}_*.deb"))
        assert _run(folder, "dpkg", "-x", str(package), str(CACHE / PACKAGE)) == 0
    return binary


def _run(folder: Path, *command: str) -> int:
    return subprocess.run(command, cwd=folder, timeout=120, check=False, stdin=subprocess.DEVNULL).returncode
