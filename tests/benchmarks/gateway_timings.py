"""What the gateway adds to a call, and how it grows: with servers, with idle sessions, with the size of results.

The same small server is asked directly, over the standard streams of a sandbox, and through the gateway.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.arithmetic import Figure, Ratio, figure
from tests.benchmarks.http_calls import HttpCalls, http_calls
from tests.benchmarks.timings import timed
from tests.support.running import Running

from muxi_sandbox.contract import Backend, Sandbox, Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["ECHO", "QUICK_SESSIONS", "SERVERS", "SESSIONS", "TOOLS", "measure_gateway", "write_manifests"]

SERVERS, TOOLS = 100, 20
SESSIONS, QUICK_SESSIONS = 1000, 100
KIB = 1024
SIZES = (1, 64, 1024)
"""KiB of a result."""
ECHO = Path(__file__).with_name("echo_server.py")


def echo_command(tools: int) -> tuple[str, ...]:
    """What starts the echo server in a sandbox, where its file is not."""
    return ("python3", "-I", "-S", "-c", ECHO.read_text(), str(tools))


def write_manifests(folder: Path, servers: int = SERVERS, tools: int = TOOLS) -> dict[str, dict[str, Any]]:
    """A manifest for each of the servers; the `servers:` section that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    section = {}
    for number in range(servers):
        name = f"echo{number}"
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps({"name": name, "image": "build:python", "command": echo_command(tools)}))
        section[name] = {"manifest": str(path)}
    return section


async def measure_gateway(running: Running, settings: EngineSettings, rounds: int) -> tuple[list[Figure], list[Ratio]]:
    """All of them. The runtime has the servers of `write_manifests`."""
    async with ImageStore(settings) as images, DockerBackend(settings, f"bench-{os.getpid()}") as backend:
        image = await images.ensure("python", print)
        async with _direct(backend, image) as direct:
            return await _figures(running, direct, rounds)


async def _figures(
    running: Running, direct: Callable[[], Awaitable[None]], rounds: int
) -> tuple[list[Figure], list[Ratio]]:
    figures: list[Figure] = []
    async with http_calls(running.url) as calls:
        through = partial(calls.call, "echo0__echo0", {})
        await through()
        beside: list[float] = []
        behind: list[float] = []
        for _ in range(30 * rounds):
            beside.append(await timed(direct))
            behind.append(await timed(through))
        figures += [
            figure("echo: directly over stdio", "ms", beside),
            figure("echo: through the gateway", "ms", behind),
        ]
        for size in SIZES:
            arguments = {"size": size * KIB}
            taken = [await timed(partial(calls.call, "echo0__echo0", arguments)) for _ in range(4 * rounds)]
            figures.append(figure(f"echo: through the gateway, {size} KiB", "ms", taken))
        listed = [await timed(partial(calls.request, "tools/list", {})) for _ in range(4 * rounds)]
        figures.append(figure(f"tools/list of {SERVERS} servers with {TOOLS} tools each", "ms", listed))
        sessions = await _sessions(calls, running, SESSIONS if rounds > 3 else QUICK_SESSIONS)
        figures.append(sessions)
    added = figures[1].median - figures[0].median
    return figures, [
        Ratio("what the gateway adds to a call over stdio, in ms", added, "at most 1.5"),
        Ratio("tools/list of 100 servers, in ms", figure("", "ms", listed).median, "at most 20"),
        Ratio("1,000 idle sessions, in MiB", sessions.median, "at most 50"),
    ]


async def _sessions(calls: HttpCalls, running: Running, count: int) -> Figure:
    """Memory of the runtime that so many idle sessions of the legacy era take; for 1,000."""
    before = _memory_mib(running.pid)
    for _ in range(count):
        await calls.open_session()
    return figure("memory: 1,000 idle client sessions", "MiB", [(_memory_mib(running.pid) - before) * 1000 / count])


def _memory_mib(pid: int) -> float:
    """What is the process's own, as Linux counts it (proc_pid_smaps(5): Private_*)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / KIB


@asynccontextmanager
async def _direct(backend: Backend, image: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A call of the same server over the streams of its sandbox, without a gateway."""
    spec = Spec(task="bench-direct", server="echo", image=image, command=echo_command(TOOLS))
    async with backend.lease(spec) as lease:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}
        await _ask(lease.sandbox, "initialize", params)
        yield partial(_ask, lease.sandbox, "tools/call", {"name": "echo0", "arguments": {}})
    await backend.end_task("bench-direct")


async def _ask(sandbox: Sandbox, method: str, params: dict[str, Any]) -> None:
    await sandbox.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
    answer = json.loads(await sandbox.receive())
    if "result" not in answer:
        raise RuntimeError(f"the server did not answer {method}: {answer}")
