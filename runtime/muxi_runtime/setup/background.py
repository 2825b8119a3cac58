"""A process that outlives the one that started it, with its output in a file."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Background", "log_tail"]

TAIL_BYTES = 4096
TAIL_LINES = 15
LOG_MODE = 0o600


class Background:
    """The process, seen from the one that started it. Never waited for longer than a question takes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    @classmethod
    def start(cls, command: Sequence[str], log: Path) -> Background:
        """Start it in a session of its own, with no input; `log` holds its output of this start only.

        Raises:
            OSError: the program cannot be run, or the log not be written.
        """
        # Not subprocess: its Popen objects complain when they are dropped while the process lives, as here.
        to_log = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, LOG_MODE)
        pid = os.posix_spawnp(
            command[0],
            list(command),
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                to_log,
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGHUP],
        )
        return cls(pid)

    def exit_code(self) -> int | None:
        """What it ended with (negative: the signal), or `None` while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


def log_tail(log: Path) -> str:
    """The last lines of a log, indented; says so if there are none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        text = ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-TAIL_LINES:]) or "  (nothing)"
