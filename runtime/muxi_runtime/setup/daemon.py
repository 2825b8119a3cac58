"""The runtime as a background process: start it and see it ready, end it and see it gone."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from muxi_runtime.errors import SetupError
from muxi_runtime.setup.background import Background, log_tail
from muxi_runtime.setup.health import ask_health
from muxi_runtime.setup.home import ProcessRecord, logs_folder, read_record, start_ticks

__all__ = ["Ended", "answers", "end_runtime", "serve_command", "start_runtime"]

STEP = "start"
READY_SECONDS = 120
POLL_SECONDS = 0.1
TERM_SECONDS = 45
KILL_SECONDS = 10
SERVE = ("serve", "--log-file")


def serve_command(home: Path, config: Path | None) -> list[str]:
    """How the runtime is run in the background. `-P`: no modules from the folder that it is started from."""
    chosen = ["--config", str(config)] if config is not None else []
    return [sys.executable, "-P", "-m", "muxi_runtime", "--home", str(home), *chosen, *SERVE]


async def start_runtime(command: Sequence[str], home: Path) -> ProcessRecord:
    """Start it and wait until it answers.

    Raises:
        SetupError: it ended, or was not ready within 120 s (it is then ended); with the end of its log.
    """
    output = logs_folder(home) / "runtime.out"
    process = Background.start(command, output)
    try:
        with anyio.fail_after(READY_SECONDS):
            while process.exit_code() is None:
                record = read_record(home)
                if record is not None and record.pid == process.pid and await answers(record):
                    return record
                await anyio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        os.kill(process.pid, signal.SIGKILL)
        raise _failure(f"The runtime was not ready within {READY_SECONDS} s.", home) from error
    raise _failure(f"The runtime ended with code {process.exit_code()} while it started.", home)


async def answers(record: ProcessRecord) -> bool:
    """Whether that very process answers at its URL."""
    health = await ask_health(record.url) if record.url else None
    return health is not None and health.get("pid") == record.pid


@dataclass(frozen=True, slots=True)
class Ended:
    """How a runtime ended.

    Attributes:
        killed: it did not end when asked to, and was killed: what it left behind goes at the next `up`.
    """

    pid: int
    killed: bool


async def end_runtime(record: ProcessRecord) -> Ended:
    """Ask it to end, wait up to 45 s, then kill it. No error if it is gone already.

    Raises:
        SetupError: it is not ours to end, or does not end even when killed.
    """
    try:
        handle = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return Ended(record.pid, killed=False)
    try:
        # Only now, with the process held by its descriptor: the number could have gone to another program.
        if start_ticks(record.pid) != record.started:
            return Ended(record.pid, killed=False)
        if await _signalled(handle, signal.SIGTERM, TERM_SECONDS):
            return Ended(record.pid, killed=False)
        if await _signalled(handle, signal.SIGKILL, KILL_SECONDS):
            return Ended(record.pid, killed=True)
    except PermissionError as error:
        raise SetupError(
            f"The runtime (process {record.pid}) belongs to another user.",
            step="stop",
            remedy="Stop it as that user.",
        ) from error
    finally:
        os.close(handle)
    raise SetupError(
        f"The runtime (process {record.pid}) does not end, not even when killed.",
        step="stop",
        remedy=f"See what it waits for: cat /proc/{record.pid}/stack",
    )


async def _signalled(handle: int, number: signal.Signals, seconds: float) -> bool:
    """Send it and wait; whether the process is gone."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)
    with anyio.move_on_after(seconds):
        await anyio.wait_readable(handle)
    return bool(select.select([handle], [], [], 0)[0])


def _failure(what: str, home: Path) -> SetupError:
    log, output = (logs_folder(home) / name for name in ("runtime.log", "runtime.out"))
    return SetupError(
        f"{what} The end of {log}:\n{log_tail(log)}\nand of {output}:\n{log_tail(output)}",
        step=STEP,
        remedy="Mend what the log says and run `muxi-runtime up` again; `muxi-runtime doctor` checks the machine.",
    )
