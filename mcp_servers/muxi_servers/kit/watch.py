"""Watches a program until it ends: feeds it, captures what it writes, streams it as progress, keeps the limits."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from select import POLLIN, POLLOUT, poll
from time import monotonic

from muxi_servers.kit.capture import Capture
from muxi_servers.kit.oom import count_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Program

__all__ = ["FLOOD_BYTES", "Limits", "Outcome", "Progress", "Watch", "watch"]

FLOOD_BYTES = 64 * 2**20  # a program that writes more than this to one call is ended
_CHUNK = 65_536
_DRAIN_SECONDS = 1.0
_STEP_SECONDS = 0.1
_HEARTBEAT_SECONDS = 5.0
_PROGRESS_CHARACTERS = 2_000


class Limits:
    """Of one call: seconds until the program is ended, bytes kept of each of its outputs."""

    __slots__ = ("output_bytes", "seconds")

    def __init__(self, seconds: float, output_bytes: int) -> None:
        self.seconds = seconds
        self.output_bytes = output_bytes


class Outcome:
    """How a program ended.

    Attributes:
        status: the wait status; `None` where the keeper was lost.
        reason: why it was ended before its time: `timeout`, `cancelled`, `flood` or `lost`; empty if it was not.
        seconds: how long it ran.
        peak_kib: the most memory that one of its processes had resident.
        left_over: processes that it left behind, and that were killed.
        kernel_kills: processes that the kernel killed meanwhile because the sandbox's memory was used up.
    """

    __slots__ = ("kernel_kills", "left_over", "peak_kib", "reason", "seconds", "status", "stderr", "stdout")

    def __init__(self, limits: Limits) -> None:
        self.stdout = Capture(limits.output_bytes)
        self.stderr = Capture(limits.output_bytes)
        self.status: int | None = None
        self.reason = ""
        self.seconds = 0.0
        self.peak_kib = 0
        self.left_over = 0
        self.kernel_kills = 0


class Progress:
    """Output as progress messages: at most one every 0.1 s, with the latest text that fits."""

    def __init__(self, call: Call, *, shown: bool = True) -> None:
        """`shown`: whether what a program writes is for the caller; else they hear only that it still runs."""
        self._call = call
        self._shown = shown
        self._text = ""
        self._started = self._last = monotonic()
        self._decoders = [getincrementaldecoder("utf-8")("replace") for _ in range(2)]

    def add(self, stream: int, data: bytes) -> None:
        """Take output of stream 0 (standard output) or 1 (standard error)."""
        if self._shown and self._call.wants_progress:
            self._text = (self._text + self._decoders[stream].decode(data))[-_PROGRESS_CHARACTERS:]

    def tick(self, *, final: bool = False) -> None:
        """Send what has gathered, if it is time; without any, say now and then that the program still runs."""
        now = monotonic()
        if self._text and (final or now - self._last >= _STEP_SECONDS):
            self._call.progress(self._text)
            self._text = ""
        elif now - self._last >= _HEARTBEAT_SECONDS and not final:
            self._call.progress(f"still running after {now - self._started:.0f} s")
        else:
            return
        self._last = now


class Watch:
    """The loop around one program; `code` derives from it for a program that outlives the call."""

    def __init__(self, program: Program, limits: Limits, call: Call, stdin: bytes, *, shown: bool = True) -> None:
        self.outcome = Outcome(limits)
        self._program = program
        self._call = call
        self._stdin = memoryview(stdin)
        self._progress = Progress(call, shown=shown)
        self._poller = poll()
        self._streams = {program.stdout: self.outcome.stdout, program.stderr: self.outcome.stderr}
        self._until = monotonic() + limits.seconds
        self._ended = False

    def run(self) -> Outcome:
        """Until the program and all that it started are gone."""
        started = monotonic()
        kills = count_kills()
        self._register()
        while not self._ended:
            self._step()
            self._keep_limits()
        self._drain()
        self._progress.tick(final=True)
        self.outcome.seconds = monotonic() - started
        self.outcome.kernel_kills = count_kills() - kills
        return self.outcome

    def _register(self) -> None:
        for descriptor in (*self._streams, self._program.control.fileno()):
            self._poller.register(descriptor, POLLIN)
        if self._stdin:
            self._poller.register(self._program.stdin, POLLOUT)
        else:
            self._program.close_stdin()

    def _step(self) -> None:
        wait = min(self._until - monotonic(), _STEP_SECONDS if self._call.wants_progress else _HEARTBEAT_SECONDS)
        for descriptor, _ in self._poller.poll(max(wait, 0.0) * 1000 + 1):
            if descriptor in self._streams:
                self._read(descriptor)
            elif descriptor == self._program.stdin:
                self._feed()
            elif descriptor == self._program.control.fileno():
                self._hear()
            else:
                self._exchange(descriptor)
        self._progress.tick()

    def _exchange(self, descriptor: int) -> None:
        """Another descriptor that was registered is ready."""

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._poller.unregister(descriptor)
            del self._streams[descriptor]
            return False
        self._streams[descriptor].add(data)
        self._progress.add(int(descriptor == self._program.stderr), data)
        return True

    def _feed(self) -> None:
        try:
            self._stdin = self._stdin[os.write(self._program.stdin, self._stdin[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self._stdin = memoryview(b"")  # the program does not want it
        if not self._stdin:
            self._poller.unregister(self._program.stdin)
            self._program.close_stdin()

    def _hear(self) -> None:
        self._take_end(*self._program.receive())

    def _take_end(self, word: str, rest: list[str]) -> None:
        if word == "exited":
            self.outcome.status, self.outcome.peak_kib, self.outcome.left_over = map(int, rest)
        elif word == "lost":
            self.outcome.reason = "lost"
        self._ended = word in {"exited", "lost"}

    def _keep_limits(self) -> None:
        if self._ended or self.outcome.reason:
            return
        if self._call.cancelled:
            self.outcome.reason = "cancelled"
        elif monotonic() >= self._until:
            self.outcome.reason = "timeout"
        elif max(self.outcome.stdout.total, self.outcome.stderr.total) > FLOOD_BYTES:
            self.outcome.reason = "flood"
        if self.outcome.reason:
            self._stop()

    def _stop(self) -> None:
        """A limit was passed, for `outcome.reason`."""
        self._program.end()
        self._until = monotonic() + _HEARTBEAT_SECONDS  # only how long one poll waits

    def _drain(self) -> None:
        """Read what is in the pipes. Nothing of the program is left, but another program may hold them open."""
        until = monotonic() + _DRAIN_SECONDS
        for descriptor in list(self._streams):
            while self._read(descriptor) and monotonic() < until:
                pass


def watch(program: Program, limits: Limits, call: Call, stdin: bytes = b"", *, shown: bool = True) -> Outcome:
    """Stay with a program until it and all that it started are gone. A call that is cancelled ends it.

    `shown`: the caller sees as progress what the program writes.
    """
    call.on_cancel(program.end)
    return Watch(program, limits, call, stdin, shown=shown).run()
