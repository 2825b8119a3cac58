"""What is timed. Each measure takes one sample: how long, in ms, one thing took now."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from anyio import run_process, to_thread
from docker import APIClient
from tests.benchmarks.http_calls import http_calls
from tests.support.running import Running

from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.handshake import open_upstream
from muxi_sandbox.contract import Backend, Sandbox, Spec, WorkspaceAccess

__all__ = [
    "Measure",
    "Sample",
    "call_measures",
    "engine_measures",
    "lease_measures",
    "spec_of",
    "stream_measures",
    "timed",
]

Sample = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Measure:
    """A named sample; `repeat` of them are taken in each round and their median counts for the round."""

    name: str
    sample: Sample
    repeat: int = 1


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1000


@asynccontextmanager
async def engine_measures(socket: Path, image: str) -> AsyncIterator[list[Measure]]:
    """The engine by itself: what a container costs without us."""
    client = APIClient(base_url=f"unix://{socket}", version="auto")
    made: list[str] = []

    def start() -> str:
        container: str = client.create_container(image, ["sleep", "600"], labels={"muxi.bench": "1"})["Id"]
        made.append(container)
        client.start(container)
        return container

    def remove_last() -> None:
        client.remove_container(made.pop(), force=True)

    async def create() -> float:
        return await timed(lambda: to_thread.run_sync(start))

    async def remove() -> float:
        return await timed(lambda: to_thread.run_sync(remove_last))

    running = await to_thread.run_sync(start)
    made.remove(running)
    try:
        yield [
            Measure("engine: create and start", create),
            Measure("engine: kill and remove", remove),
            *_exec_measures(client, running),
        ]
    finally:
        for container in [running, *made]:
            client.remove_container(container, force=True)
        client.close()


def _exec_measures(client: APIClient, container: str) -> list[Measure]:
    """Python in a container that runs: by the engine's API, and by the command that people use."""
    python = ["python3", "-c", "pass"]
    negotiated = {**os.environ, "DOCKER_API_VERSION": str(client.api_version)}  # newer clients refuse older engines

    def by_api() -> None:
        client.exec_start(client.exec_create(container, python)["Id"])

    async def by_command() -> None:
        await run_process(["docker", "exec", container, *python], env=negotiated)

    return [
        Measure("engine: exec python3 -c pass", lambda: timed(lambda: to_thread.run_sync(by_api))),
        Measure("docker exec python3 -c pass", lambda: timed(by_command)),
    ]


def spec_of(image: str, number: int, server: str = "code") -> Spec:
    command = ("python3", "-I", "-m", f"muxi_servers.{server}")
    return Spec(task=f"bench-{number}", server=server, image=image, command=command, workspace=WorkspaceAccess.WRITE)


def lease_measures(backend: Backend, image: str) -> list[Measure]:
    """A sandbox from nothing, with its workspace: until it runs, and until the server inside has answered."""
    numbers, eras = count(1), Eras()

    async def lease() -> float:
        spec = spec_of(image, next(numbers))
        started = time.perf_counter()
        async with backend.lease(spec):
            taken = (time.perf_counter() - started) * 1000
        await backend.end_task(str(spec.task))
        return taken

    async def ready() -> float:
        spec = spec_of(image, next(numbers))
        started = time.perf_counter()
        async with open_upstream(backend, spec, eras=eras, handshake_seconds=30):
            taken = (time.perf_counter() - started) * 1000
        await backend.end_task(str(spec.task))
        return taken

    return [Measure("cold lease", lease), Measure("cold lease, server answered", ready)]


@asynccontextmanager
async def stream_measures(backend: Backend, image: str) -> AsyncIterator[list[Measure]]:
    """A request and its answer over the attach stream, without a gateway."""
    async with backend.lease(spec_of(image, 0)) as lease:
        handshake = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}
        await _ask(lease.sandbox, "initialize", handshake)
        padding = {"_meta": {"padding": "x" * 2**16}}

        async def small() -> float:
            return await timed(lambda: _ask(lease.sandbox, "ping", {}))

        async def large() -> float:
            return await timed(lambda: _ask(lease.sandbox, "ping", padding))

        yield [
            Measure("attach: request and answer", small, repeat=50),
            Measure("attach: 64 KiB request and answer", large, repeat=10),
        ]
    await backend.end_task("bench-0")


async def _ask(sandbox: Sandbox, method: str, params: dict[str, Any]) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    await sandbox.send(json.dumps(request).encode())
    answer = json.loads(await sandbox.receive())
    if "result" not in answer:
        raise RuntimeError(f"the server did not answer {method}: {answer}")


@asynccontextmanager
async def call_measures(running: Running) -> AsyncIterator[list[Measure]]:
    """Tool calls on sandboxes that are leased already, through the gateway's HTTP endpoint."""
    async with AsyncExitStack() as stack:
        sdk = await stack.enter_async_context(running.client())
        calls = await stack.enter_async_context(http_calls(running.url))

        def raw(tool: str, arguments: dict[str, Any]) -> Sample:
            return lambda: timed(lambda: calls.call(tool, arguments))

        async def by_sdk() -> float:
            return await timed(lambda: sdk.call_tool("files__stat", {"path": "."}))

        program = {"language": "python", "code": "print(1)"}
        yield [
            Measure("call: files.stat", raw("files__stat", {"path": "."}), repeat=20),
            Measure("call: files.stat, by the SDK's client", by_sdk, repeat=20),
            Measure("call: code.run, a fresh Python process", raw("code__run", program), repeat=5),
            Measure("call: code.session_run, one statement", raw("code__session_run", {"code": "1"}), repeat=10),
        ]
