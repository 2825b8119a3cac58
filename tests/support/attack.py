"""Runs a script of an attacker in a sandbox, and gives its findings back."""

from __future__ import annotations

import json
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine_state import installation

from muxi_sandbox.contract import Sandbox, Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

# What the scripts may use: `tried` says what came of an attempt, `syscall` makes one that Python has no name for.
PRELUDE = """
import ctypes, errno, json, os, platform, resource, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def tried(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "worked"

def read(path):
    with open(path) as file:
        return file.read()

def write(path, text):
    with open(path, "w") as file:
        file.write(text)

def syscall(number, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments)) == -1:
        return errno.errorcode[ctypes.get_errno()]
    return "worked"

def say(value):
    print(json.dumps(value), flush=True)
"""


def attacker(image: str, script: str, **changes: Any) -> Spec:
    """A spec that runs the script; its output's lines are frames."""
    command = ("python3", "-I", "-c", PRELUDE + textwrap.dedent(script))
    return Spec.model_validate({"task": "attack", "server": "attacker", "image": image, "command": command, **changes})


@asynccontextmanager
async def attacking(socket: Path, image: str, script: str, **changes: Any) -> AsyncIterator[Sandbox]:
    """A sandbox of its own in which the script runs."""
    async with (
        DockerBackend(EngineSettings(socket=socket), installation("attacks")) as backend,
        backend.lease(attacker(image, script, **changes)) as lease,
    ):
        yield lease.sandbox


async def findings(socket: Path, image: str, script: str, **changes: Any) -> Any:
    """The one thing that the script says."""
    async with attacking(socket, image, script, **changes) as sandbox:
        return json.loads(await sandbox.receive())
