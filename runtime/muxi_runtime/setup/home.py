"""The folder of all state: private to its user, and held by one runtime at a time.

<home>/runtime.lock    held (flock) by the runtime as long as it runs: this alone says whether one does
<home>/runtime.json    which process that is, for `status` and `down`
<home>/logs/           what it and an engine that it started have to say
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from muxi_runtime.errors import SetupError

__all__ = ["ProcessRecord", "hold_home", "logs_folder", "prepare_home", "read_record", "running_process", "start_ticks"]

LOCK = "runtime.lock"
RECORD = "runtime.json"
PRIVATE = 0o700
TRIES = 10
RETRY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Which process holds the home.

    Attributes:
        started: when, in clock ticks since boot: with the pid it names one process only.
        url: its endpoint, empty until it answers.
    """

    pid: int
    started: int
    url: str = ""


def prepare_home(home: Path) -> None:
    """Make the folder and its parts, and take others' rights to it away.

    Raises:
        SetupError: it cannot be made or belongs to someone else.
    """
    try:
        home.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        status = home.stat()
        if status.st_uid != os.geteuid():
            raise SetupError(
                f"The state folder {home} belongs to user id {status.st_uid}, not to you.",
                step="home",
                remedy="Choose another one with MUXI_HOME or --home.",
            )
        home.chmod(PRIVATE)
        logs_folder(home).mkdir(mode=PRIVATE, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The state folder {home} cannot be used: {error.strerror}.",
            step="home",
            remedy="Choose another one with MUXI_HOME or --home.",
        ) from error


def logs_folder(home: Path) -> Path:
    """Where logs go."""
    return home / "logs"


@contextmanager
def hold_home(home: Path) -> Iterator[Callable[[str], None]]:
    """Be the one runtime of this home for the block; gives what to call with the URL once it answers.

    Raises:
        SetupError: another one is.
    """
    with (home / LOCK).open("a") as lock:
        if not _locked(lock):
            raise SetupError(
                f"Another runtime already uses {home}.",
                step="home",
                remedy="See it with `muxi-runtime status`, stop it with `muxi-runtime down`, or use another --home.",
            )
        record = ProcessRecord(os.getpid(), start_ticks(os.getpid()) or 0)
        _write(home / RECORD, record)
        try:
            yield lambda url: _write(home / RECORD, replace(record, url=url))
        finally:
            (home / RECORD).unlink(missing_ok=True)


def running_process(home: Path) -> ProcessRecord | None:
    """The process that holds the home, or `None`; what a dead one left behind counts for nothing."""
    record = read_record(home) if _is_held(home) else None
    return record if record is not None and start_ticks(record.pid) == record.started else None


def read_record(home: Path) -> ProcessRecord | None:
    """What the last process to hold the home wrote; it may be long gone."""
    try:
        return ProcessRecord(**json.loads((home / RECORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), field 22 of stat); `None` if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may itself hold blanks and parentheses.
    return int(text.rpartition(")")[2].split()[19])


def _locked(lock: IO[str]) -> bool:
    """Take the lock. Tries more than once: whoever only looks (`_is_held`) has it for an instant."""
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(RETRY_SECONDS)
    return False


def _is_held(home: Path) -> bool:
    with suppress(FileNotFoundError), (home / LOCK).open("r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _write(path: Path, record: ProcessRecord) -> None:
    """Whole or not at all, so that a reader never sees half a record."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(record)))
    fresh.replace(path)
