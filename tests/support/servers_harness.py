"""Built-in servers as real processes: on this machine, and inside a hardened container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import yaml
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult

import muxi_servers
from muxi_runtime.catalog.limits import lowered, named_class
from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.gateway.sandbox_transport import SandboxTransport
from muxi_sandbox.contract import Spec
from muxi_sandbox.docker.backend import DockerBackend

SERVERS = ("code", "files", "shell")  # those that run on this machine with nothing but Python
_BOOT = (
    "import sys, runpy; sys.path.insert(0, '/servers'); sys.argv = sys.argv[1:];"
    "runpy.run_module(sys.argv[0], run_name='__main__')"
)
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def local(server: str, workspace: Path) -> StdioServerParameters:
    """The server as a child of this process, with a folder of its own as workspace."""
    arguments = ["-I", "-m", f"muxi_servers.{server}", "--workspace", str(workspace)]
    return StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))


def boxed(image: str, server: str, *more: str) -> StdioServerParameters:
    """The server in a container as the sandbox makes it; `more` are options of `docker run`."""
    source = Path(muxi_servers.__file__).parent
    options = [
        *("--rm", "-i", "--network", "none", "--read-only", "--user", "65534:65534"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "128"),
        *("--memory", "512m", "--memory-swap", "512m", "--ulimit", "nofile=1024:1024", "--ulimit", "core=0"),
        *("--tmpfs", "/tmp:size=64m,mode=1777,nosuid,nodev"),
        *("--tmpfs", "/workspace:size=64m,nr_inodes=2000,uid=65534,nosuid,nodev"),
        *("-v", f"{source}:/servers/muxi_servers:ro", *more),
    ]
    command = ["python3", "-I", "-c", _BOOT, f"muxi_servers.{server}"]
    environment = {"DOCKER_API_VERSION": "1.41", **os.environ}
    return StdioServerParameters(command="docker", args=["run", *options, image, *command], env=environment)


def text_of(result: CallToolResult) -> str:
    """The first block of a result, which is text."""
    block = result.content[0]
    assert block.type == "text"
    return block.text


def is_alive(pid: str | int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{str(pid).strip()}").exists()


def read_if_there(path: Path) -> str:
    """What is in the file; empty if there is none yet."""
    return path.read_text() if path.exists() else ""


async def until(condition: Callable[[], object]) -> None:
    """Wait for what only looking can tell; the test's own time-out bounds it."""
    while not condition():  # noqa: ASYNC110 - another process's doing sets no event
        await anyio.sleep(0.01)


class RawServer:
    """A server spoken to in lines, for what no well-behaved client sends."""

    def __init__(self, parameters: StdioServerParameters, *, stderr: int | None = None) -> None:
        command = [parameters.command, *parameters.args]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=parameters.env
        )
        assert self.process.stdin
        assert self.process.stdout
        self._in, self._out = self.process.stdin, self.process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self.process.wait(20)
        self._out.close()
        if self.process.stderr:
            self.process.stderr.close()

    def send_line(self, line: bytes) -> None:
        """Send these bytes and a line feed."""
        self._in.write(line + b"\n")
        self._in.flush()

    def send(self, method: str, params: dict[str, Any] | None = None, request_id: int | str | None = None) -> None:
        """Send a request, or a notification without an id."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if request_id is not None:
            message["id"] = request_id
        self.send_line(json.dumps(message).encode())

    def receive(self) -> dict[str, Any]:
        """The next message."""
        answer: dict[str, Any] = json.loads(self._out.readline())
        return answer

    def ask(self, method: str, params: dict[str, Any] | None = None, request_id: int | str = 1) -> dict[str, Any]:
        """Send a request and wait for its answer; notifications on the way are dropped."""
        self.send(method, params, request_id)
        while (answer := self.receive()).get("id") != request_id:
            pass
        return answer

    def call(self, tool: str, request_id: int | str, **arguments: Any) -> None:
        """Send a modern tool call without waiting."""
        self.send("tools/call", {"name": tool, "arguments": arguments, "_meta": MODERN}, request_id)


def as_leased(server: str, image: str, task: str) -> Spec:
    """What the runtime asks the backend for, from the server's own manifest."""
    file = Path(muxi_servers.__file__).parent / server / "manifest.yaml"
    manifest = Manifest.model_validate(yaml.safe_load(file.read_text()))
    return Spec(
        task=task,
        server=server,
        image=image,
        command=manifest.command,
        init=manifest.init,
        workspace=manifest.profile.workspace,
        limits=lowered(named_class(manifest.profile.limits_class, {}), manifest.profile.limits, server),
    )


@asynccontextmanager
async def leased(backend: DockerBackend, spec: Spec, heard: list[str] | None = None) -> AsyncIterator[Client]:
    """A client of the server in a sandbox of the runtime's making; `heard` gets what it sends unasked."""

    async def hear(message: object) -> None:
        if heard is not None:
            heard.append(str(message))

    async with (
        backend.lease(spec) as lease,
        Client(SandboxTransport(lease.sandbox).connect(), message_handler=hear) as client,
    ):
        yield client
