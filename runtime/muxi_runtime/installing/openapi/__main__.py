"""Reads one document in a process of its own: `python -P -m muxi_runtime.installing.openapi PID`, as `apart.py` does.

It ends with the process of that number, which has to be the one that started it: nobody else waits for what it reads.
In: a line of JSON with the choice and the bounds, then the document. Out: a line of JSON, the description or why there
is none. What takes too much ends with `TOO_MUCH`, or by a signal.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from ctypes import CDLL

from pydantic import TypeAdapter

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi.describe import Choice, Description, describe

__all__ = ["ALONE", "TOO_MUCH", "main"]

TOO_MUCH = 77
ALONE = 78
MIB = 2**20
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Read, describe, answer; the exit code."""
    if not _ends_with(int(sys.argv[1])):
        return ALONE
    asked = json.loads(sys.stdin.buffer.readline())
    _bound(resource.RLIMIT_AS, asked["memory_mib"] * MIB)
    _bound(resource.RLIMIT_CPU, asked["cpu_seconds"])
    for none in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        _bound(none, 0)
    choice = Choice(asked["name"], asked["base"], asked["server"], tuple(asked["operations"]))
    try:
        sys.stdout.buffer.write(_answer(sys.stdin.buffer.read(), choice))
    except (MemoryError, RecursionError):
        return TOO_MUCH
    return 0


def _answer(data: bytes, choice: Choice) -> bytes:
    try:
        return b"described " + TypeAdapter(Description).dump_json(describe(data, choice))
    except ConfigError as error:
        return b"refused " + json.dumps([error.args[0], error.remedy]).encode()


def _ends_with(parent: int) -> bool:
    """Have the kernel kill this process when that one ends, however it ends; false if it is gone already."""
    asked: int = CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return asked == 0 and os.getppid() == parent


def _bound(kind: int, most: int) -> None:
    """For good, and never above what this process has already."""
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    sys.exit(main())
