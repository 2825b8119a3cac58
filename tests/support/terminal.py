"""A person at a terminal: runs the command there and answers its question."""

from __future__ import annotations

import os
import pty
import select
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.running import COMMAND

QUESTION = b"[y/N]"


@dataclass(frozen=True)
class Said:
    """What was seen, and how it ended."""

    text: str
    exit_code: int


def answered(home: Path, *arguments: str, answer: str = "y", seconds: float = 240) -> Said:
    """Run `muxi-runtime --home HOME ARGUMENTS`; the first question is answered."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MUXI_")}
        os.execvpe(COMMAND[0], [*COMMAND, "--home", str(home), *arguments], environment | {"COLUMNS": "200"})  # noqa: S606
    seen = bytearray()
    until = time.monotonic() + seconds
    asked = False
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed: how a pty says so
            break
        seen += piece
        if QUESTION in seen and not asked:
            asked = True
            os.write(terminal, f"{answer}\n".encode())
    os.close(terminal)
    return Said(seen.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
