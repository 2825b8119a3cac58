"""One background process: its output, its state, and what can be done to it."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from threading import Condition
from time import monotonic

from muxi_servers.kit.report import signal_name
from muxi_servers.shell.ring import Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.launch import Program

__all__ = ["RING_BYTES", "Process"]

RING_BYTES = 2**20
_CHUNK = 65_536


class Process:
    """Thread-safe: the pump adds, tools read.

    Attributes:
        id: its name for the caller.
    """

    def __init__(self, name: str, command: str, program: Program) -> None:
        self.id = name
        self._command = command
        self._program = program
        self._ring = Ring(RING_BYTES)
        self._started = monotonic()
        self._changed = Condition()
        self._end: dict[str, Any] | None = None
        self._seconds = 0.0

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._end is None

    def sources(self) -> list[int]:
        """Descriptors to be polled; for the pump."""
        return [self._program.stdout, self._program.stderr, self._program.control.fileno()]

    def is_control(self, descriptor: int) -> bool:
        """Whether its keeper speaks on this descriptor: then it has ended."""
        return descriptor == self._program.control.fileno()

    def read_from(self, descriptor: int) -> bool:
        """Take what is there; false when nothing will come any more."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        with self._changed:
            self._ring.add(data)
            self._changed.notify_all()
        return bool(data)

    def finish(self) -> None:
        """It has ended, with all that it started: take the rest of its output and give its descriptors back."""
        word, rest = self._program.receive()
        for descriptor in (self._program.stdout, self._program.stderr):
            self._drain(descriptor)
        status = int(rest[0]) if word == "exited" else None
        with self._changed:
            self._program.close()
            signalled = status is not None and os.WIFSIGNALED(status)
            self._end = {
                "exit_code": os.WEXITSTATUS(status) if status is not None and not signalled else None,
                "signal": signal_name(os.WTERMSIG(status)) if status is not None and signalled else None,
            }
            self._seconds = monotonic() - self._started
            self._changed.notify_all()

    def _drain(self, descriptor: int) -> None:
        for _ in range(RING_BYTES // _CHUNK):
            before = self._ring.end
            self.read_from(descriptor)
            if self._ring.end == before:
                return

    def read(self, position: int, size: int, wait_seconds: float) -> dict[str, Any]:
        """Output from a position on; waits until there is some, or the process has ended, or the time is over."""
        until = monotonic() + wait_seconds
        with self._changed:
            while self._end is None and self._ring.end <= position and until > monotonic():
                self._changed.wait(until - monotonic())
            begin, data = self._ring.read(position, size)
        output, used = _decode(data, final=not self.running and begin + len(data) == self._ring.end)
        return {
            **self.state(),
            "output": output,
            "position": begin,
            "next_position": begin + used,
            "skipped_bytes": max(0, begin - position),
        }

    def write(self, data: bytes) -> int:
        """Write to its standard input as much as it takes now; how many bytes.

        Raises:
            OSError: it does not read any more.
        """
        with self._changed:
            if self._end is not None or self._program.stdin < 0:
                raise BrokenPipeError
            try:
                return os.write(self._program.stdin, data) if data else 0
            except BlockingIOError:
                return 0

    def close_stdin(self) -> None:
        """Let it see the end of its input."""
        with self._changed:
            if self._end is None:
                self._program.close_stdin()

    def signal(self, number: int) -> None:
        """Send a signal to its group."""
        self._program.tell(f"signal {number}")

    def kill(self) -> None:
        """End it with everything that it started, and wait until that is done."""
        self._program.end()
        with self._changed:
            while self._end is None:
                self._changed.wait()

    def state(self) -> dict[str, Any]:
        """What is known about it now."""
        end = self._end or {"exit_code": None, "signal": None}
        seconds = monotonic() - self._started if self._end is None else self._seconds
        return {
            "id": self.id,
            "command": self._command[:200],
            "running": self.running,
            **end,
            "seconds": round(seconds, 1),
            "output_bytes": self._ring.end,
        }


def _decode(data: bytes, *, final: bool) -> tuple[str, int]:
    """Text, and how many bytes it took: a character cut at the end is left for the next read unless none will come."""
    decoder = getincrementaldecoder("utf-8")("replace")
    output = decoder.decode(data)
    rest = len(decoder.getstate()[0])
    if not rest or final or rest == len(data):
        return data.decode("utf-8", "replace"), len(data)
    return output, len(data) - rest
