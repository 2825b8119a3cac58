"""What the way through the engine takes by itself: the echo server in a sandbox, asked over its streams alone.

No gateway, no policy, no journal: what is left is what the engine's processes take to carry a call, and the server to
answer it. Their processor time says how many calls a machine could carry at most if a gateway cost nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from docker import APIClient
from tests.benchmarks.endpoints import check_answer, message
from tests.benchmarks.gateway_timings import TOOLS, echo_command
from tests.benchmarks.http_calls import LEGACY
from tests.benchmarks.load import Ask

from muxi_sandbox.contract import Sandbox, Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["Attached", "attached_asks", "busy_ms", "engine_pids"]

SHIM = "containerd-shim"
TASK = "bench-attached"


@dataclass(frozen=True, slots=True)
class Attached:
    """Calls of a server in a sandbox, and that server's processes."""

    asks: list[Ask]
    server_pids: Callable[[], list[int]]


@asynccontextmanager
async def attached_asks(settings: EngineSettings, callers: int) -> AsyncIterator[Attached]:
    """Calls over the attach stream of one sandbox, which all callers share."""
    async with ImageStore(settings) as images, DockerBackend(settings, f"bench-attached-{os.getpid()}") as backend:
        image = await images.ensure("python", print)
        spec = Spec(task=TASK, server="echo", image=image, command=echo_command(TOOLS))
        async with backend.lease(spec) as lease:
            stream = _Stream(lease.sandbox)
            await stream.ask("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {}})
            yield Attached([stream.call] * callers, lambda: _inside(settings, lease.sandbox.id))
            lease.sandbox.offer_first(None)
        await backend.end_task(TASK)


class _Stream:
    """Requests under way on one sandbox, sent and taken as the gateway does."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        sandbox.offer_first(self._take)

    def _take(self, frame: bytes) -> bool:
        self._waiting.pop(json.loads(frame)["id"]).set_result(frame)
        return True

    async def ask(self, method: str, params: dict[str, Any]) -> bytes:
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._sandbox.send(message(method, params, number))
        return await answer

    async def call(self) -> None:
        """As `Ask`."""
        check_answer(await self.ask("tools/call", {"name": "echo0", "arguments": {}}))


def engine_pids(settings: EngineSettings) -> list[int]:
    """The engine's daemon, as the other end of its socket, and what it has beside each container."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(settings.socket))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    daemon: int = struct.unpack("3i", peer)[0]
    names = {int(path.parent.name): _text(path) for path in Path("/proc").glob("[0-9]*/comm")}
    return [daemon, *(pid for pid, name in names.items() if name.startswith(SHIM))]


def _inside(settings: EngineSettings, container: str) -> list[int]:
    """The processes of a container."""
    with APIClient(base_url=f"unix://{settings.socket}", version="auto") as client:
        return [int(row[1]) for row in client.top(container)["Processes"]]


def busy_ms(pids: Iterable[int]) -> float:
    """Processor time of processes so far (proc_pid_stat(5): utime and stime), in ms; 0 for one that ended."""
    ticks = 0
    for pid in pids:
        fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12]) if fields else 0
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
