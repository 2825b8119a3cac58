"""Run a program of the host to its end, line by line, within a bounded time."""

from __future__ import annotations

import os
import signal
import subprocess  # nosec B404 # for its constants
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

__all__ = ["CommandFailedError", "Progress", "run_command"]

Progress = Callable[[str], None]
"""Takes one line for a person, without its line feed. Must return at once."""

KEPT_LINES = 12
END_SECONDS = 10


class CommandFailedError(Exception):
    """The program could not be run, failed, or took too long; the message has its last lines."""


async def run_command(
    command: Sequence[str],
    *,
    seconds: float,
    progress: Progress,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run it with no input; each line of output and errors goes to `progress`.

    On a time-out or a cancellation the whole process group is killed.

    Raises:
        CommandFailedError: see there.
    """
    try:
        process = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailedError(f"`{command[0]}` could not be run: {error.strerror}.") from error
    last: list[str] = []
    try:
        with anyio.fail_after(seconds):
            async for line in _lines(process):
                progress(line)
                last = [*last[1 - KEPT_LINES :], line]
            code = await process.wait()
    except TimeoutError as error:
        raise CommandFailedError(_message(command, f"did not end within {seconds:g} s", last)) from error
    finally:
        await _end(process)
    if code != 0:
        raise CommandFailedError(_message(command, f"ended with exit code {code}", last))


def _message(command: Sequence[str], what: str, last: list[str]) -> str:
    return "\n  ".join([f"`{' '.join(command)}` {what}. Its last lines:", *(last or ["(none)"])])


async def _lines(process: Process) -> AsyncIterator[str]:
    if process.stdout is None:
        return
    rest = ""
    async for text in TextReceiveStream(process.stdout, errors="replace"):
        *lines, rest = (rest + text).replace("\r", "\n").split("\n")
        for line in filter(str.strip, lines):
            yield line.rstrip()
    if rest.strip():
        yield rest.rstrip()


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.move_on_after(END_SECONDS):
                await process.wait()
        with anyio.move_on_after(END_SECONDS):
            await process.aclose()
