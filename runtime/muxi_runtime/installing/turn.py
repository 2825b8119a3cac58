"""Whose turn it is to install: one command at a time in a state folder.

The turn is a lock of the kernel's on `servers/.lock`, which ends with its process, however that ends. So whoever gets
it knows that no other command installs now: what carries the name of `adding`, and what lies in the scratch folder, was
left by one that was killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO

import anyio
from anyio import to_thread

from muxi_runtime.errors import RefusedError, SetupError

__all__ = ["adding", "taken_turn"]

LOCK, SCRATCH = ".lock", ".installing"
WAIT_SECONDS = 10.0
"""For the start of a runtime, which has the turn for a moment."""
POLL_SECONDS = 0.1


def adding(installation: str) -> str:
    """What containers of commands that install are labelled with, in place of the runtime's own name."""
    return f"{installation}-add"


@asynccontextmanager
async def taken_turn(home: Path, *, wait_seconds: float = WAIT_SECONDS) -> AsyncIterator[Path]:
    """The turn for the block, with an empty folder that is gone after it.

    Raises:
        RefusedError: another command has it, and did not end in time.
        SetupError: the state folder cannot be written to.
    """
    scratch = home / "servers" / SCRATCH
    lock = await to_thread.run_sync(_opened, scratch.with_name(LOCK))
    with lock:
        await _lock(lock, wait_seconds)
        await to_thread.run_sync(_emptied, scratch)
        try:
            yield scratch
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(partial(shutil.rmtree, scratch, ignore_errors=True))


async def _lock(lock: IO[str], wait_seconds: float) -> None:
    until = anyio.current_time() + wait_seconds
    while not _locked(lock):
        if anyio.current_time() >= until:
            lock.seek(0)
            raise RefusedError(
                f"Another command installs a server now (process {lock.read(20).strip() or 'unknown'}).",
                remedy="Wait for it to end, then try again.",
            )
        await anyio.sleep(POLL_SECONDS)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _emptied(scratch: Path) -> None:
    try:
        if scratch.is_dir():
            shutil.rmtree(scratch)
        scratch.mkdir(mode=0o700)
    except OSError as error:
        raise _unwritable(scratch, error) from error


def _unwritable(folder: Path, error: OSError) -> SetupError:
    return SetupError(f"{folder} cannot be written to: {error}.", step="servers")
