"""The gateways that are measured beside ours: each as its own manual starts it, in the fastest way that it offers.

One server over standard input and output goes in, MCP over streamable HTTP comes out. Logs are off or kept low where
there is a setting for it; all else is the peer's default.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.peers.places import HERE, PeerMissingError, node_place, python_place, version_in

__all__ = ["PEERS", "Peer", "Program", "started"]

START_SECONDS, STOP_SECONDS = 60, 5


@dataclass(frozen=True, slots=True)
class Program:
    """What to run; `more` is added to its environment."""

    command: Sequence[str | Path]
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway. `program` installs it if need be; it is given the server's command, a port, and an empty folder."""

    name: str
    version: str
    modern: Sequence[bool]
    """The eras in which it forwards this server: with False the one up to 2025-11-25, with True 2026-07-28."""
    program: Callable[[Sequence[str], int, Path], Program]


def _mcp_proxy(server: Sequence[str], port: int, folder: Path) -> Program:
    """Stateful is its default, and twice as fast as `--stateless`. It answers with plain JSON always."""
    del folder
    return Program([python_place("mcp-proxy") / "bin" / "mcp-proxy", "--port", str(port), "--", *server])


def _fastmcp(server: Sequence[str], port: int, folder: Path) -> Program:
    """Plain JSON instead of event streams is its faster setting."""
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"echo": {"command": server[0], "args": list(server[1:])}}}))
    command = [python_place("fastmcp") / "bin" / "fastmcp", "run", config, "--transport", "http", "--port", str(port)]
    return Program([*command, "--no-banner", "--log-level", "ERROR"], {"FASTMCP_JSON_RESPONSE": "true"})


def _supergateway(server: Sequence[str], port: int, folder: Path) -> Program:
    """Without `--stateful` it starts the server anew for each request."""
    del folder
    script = node_place("supergateway") / "node_modules" / "supergateway" / "dist" / "index.js"
    command = ["node", script, "--stdio", shlex.join(server), "--outputTransport", "streamableHttp", "--stateful"]
    return Program([*command, "--port", str(port), "--logLevel", "none"])


def _locked(name: str, file: str) -> str:
    return version_in((HERE / file).read_text(), name)


PEERS = (
    Peer("mcp-proxy", _locked("mcp-proxy", "mcp-proxy.lock"), (False,), _mcp_proxy),
    Peer("supergateway", _locked("supergateway", "supergateway/package.json"), (False,), _supergateway),
    Peer("FastMCP", _locked("fastmcp", "fastmcp.lock"), (False, True), _fastmcp),
)


@contextmanager
def started(program: Callable[[int], Program]) -> Iterator[tuple[str, int]]:
    """The program on a free port for the block, with its children; its address, without a path, and its id.

    Raises:
        PeerMissingError: it does not start.
    """
    port = _free_port()
    wanted = program(port)
    try:
        process = subprocess.Popen(
            [str(part) for part in wanted.command],
            env={**os.environ, **wanted.more, "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise PeerMissingError(f"{wanted.command[0]} is not installed") from None
    try:
        _wait_until_it_listens(process, port)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)  # nothing tells when it will listen
        else:
            return
    ended = "" if process.returncode is None else f" (exit status {process.returncode})"
    raise PeerMissingError(f"it does not listen on its port{ended}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """It, and then whatever of its children is left: they are a group of their own."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
