"""A document described apart: in a process of its own, bounded in memory and time, that has nothing but the document.

`describe` bounds what it knows to be expensive. This bounds the rest: a document that finds something else takes the
memory of that process, and its time, and the person gets a refusal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess  # nosec B404 # for its constants
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

import anyio
from anyio.abc import Process
from pydantic import TypeAdapter

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi.__main__ import TOO_MUCH
from muxi_runtime.installing.openapi.describe import Choice, Description

__all__ = ["Bounds", "describe_apart"]

MODULE = "muxi_runtime.installing.openapi"
MAX_ANSWER = 16 * 2**20
"""Bytes: the tools take a quarter of it at most, and as JSON within JSON twice that."""
PIECE = 65536
END_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading one document may take; `wall_seconds` for a machine that is busy."""

    memory_mib: int = 1024
    cpu_seconds: int = 60
    wall_seconds: float = 120


async def describe_apart(data: bytes, choice: Choice, bounds: Bounds | None = None) -> Description:
    """Read a document, as `describe` does. Its process is killed when this is cancelled, and when this process ends.

    Raises:
        ConfigError: no server can be made of it, or reading it takes more than the bounds.
    """
    bounds = bounds or Bounds()
    head = json.dumps({**asdict(choice), **asdict(bounds)}).encode()
    process = await _started()
    try:
        with anyio.fail_after(bounds.wall_seconds):
            # One that ended before it read all says by its exit code why.
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await _send(process, head + b"\n" + data)
            answer = await _receive(process, bounds)
            code = await process.wait()
    except TimeoutError as error:
        raise _too_much(bounds) from error
    finally:
        await _end(process)
    if code == TOO_MUCH or code < 0:
        raise _too_much(bounds)
    if code != 0:
        raise ConfigError(f"The document could not be read: the process for it ended with exit code {code}.")
    return _read(answer)


async def _started() -> Process:
    """With the very modules that this process has, and of its environment nothing else."""
    return await anyio.open_process(
        [sys.executable, "-P", "-m", MODULE, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))},
        start_new_session=True,
    )


async def _send(process: Process, whole: bytes) -> None:
    if process.stdin is not None:
        await process.stdin.send(whole)
        await process.stdin.aclose()


async def _receive(process: Process, bounds: Bounds) -> bytes:
    """All that it says.

    Raises:
        ConfigError: it is more than a description has.
    """
    answer = bytearray()
    with suppress(anyio.EndOfStream):
        while process.stdout is not None:
            answer += await process.stdout.receive(PIECE)
            if len(answer) > MAX_ANSWER:
                raise _too_much(bounds)
    return bytes(answer)


def _read(answer: bytes) -> Description:
    kind, _, held = answer.partition(b" ")
    if kind == b"described":
        return TypeAdapter(Description).validate_json(held)
    message, remedy = json.loads(held)
    raise ConfigError(message, remedy=remedy)


def _too_much(bounds: Bounds) -> ConfigError:
    return ConfigError(
        f"The document is too large or too deep to be read: it takes more than {bounds.memory_mib} MiB of memory,"
        f" {bounds.cpu_seconds} s of a processor or {bounds.wall_seconds:g} s in all.",
        remedy="Take the part of it that you need.",
    )


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.move_on_after(END_SECONDS):
                await process.wait()
        with anyio.move_on_after(END_SECONDS):
            await process.aclose()
