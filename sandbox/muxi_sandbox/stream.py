"""The half of a sandbox that is the same whatever runs it: frames, bounds, back-pressure, and why it ended.

Above it: `contract.Sandbox`, which this class is. Below it: a backend, which gives it a `Stdin`, feeds it what the
program writes, and says once why nothing more will come.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

import anyio

from muxi_sandbox.errors import OutputFloodError, SandboxClosedError, SandboxError
from muxi_sandbox.frames import FrameSplitter, FrameTooLongError
from muxi_sandbox.stderr import StderrTail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from muxi_sandbox.contract import LimitHit, Spec

__all__ = ["Controls", "Stdin", "StreamSandbox"]

MIB = 2**20
TOGETHER_SECONDS = 0.001
HELD_BYTES = 256 * 2**10
"""Frames waiting for a reader: more than this is held only if one frame alone is larger."""


class Stdin(Protocol):
    """Where a sandbox's frames go."""

    async def write(self, data: bytes) -> None:
        """Write all of `data` or, when cancelled, finish it before the next: a frame is never torn.

        Raises:
            OSError: the other end is gone.
        """

    def write_now(self, data: bytes) -> int:
        """Write what can be written without waiting; how many bytes that were.

        None if others wait already. What is left of some is kept, and written first by the next `write`.

        Raises:
            OSError: the other end is gone.
        """


class Controls(Protocol):
    """What a backend can do to a sandbox beside speaking to it; see `contract.Sandbox` for each."""

    async def pause(self) -> None:
        """Stop every process."""

    async def resume(self) -> None:
        """Let them go on."""

    def limits_hit(self) -> tuple[LimitHit, ...]:
        """Limits reached since this was last asked."""


@dataclass(slots=True, eq=False)
class _Sent:
    """A frame that is sent with others. `left` is what `write` has to be given yet, if anything.

    It may be empty: `write` then finishes what was begun.
    """

    frame: bytes
    left: bytes | None = None


class StreamSandbox:
    """One running program as frames. A backend calls `feed`, `fail` and `close`; everyone else sees `Sandbox`."""

    def __init__(self, sandbox_id: str, spec: Spec, stdin: Stdin, controls: Controls) -> None:
        self._id = sandbox_id
        self._spec = spec
        self._stdin = stdin
        self._controls = controls
        self._frames: deque[bytes] = deque()
        self._held = 0
        self._output = 0
        self._splitter = FrameSplitter(spec.limits.frame_mib * MIB)
        self._stderr = StderrTail()
        self._failure: SandboxError | None = None
        self._over = anyio.Event()
        self._draining = False
        self._changed = anyio.Event()
        self._sending = anyio.Lock(fast_acquire=True)
        self._sent_at = -math.inf
        self._gathered: list[_Sent] = []
        self._scopes: set[anyio.CancelScope] = set()
        self._take: Callable[[bytes], bool] | None = None
        self.spoke = False
        """Whether a frame ever came: a program that ends before that never really started."""

    @property
    def id(self) -> str:
        """The engine's id."""
        return self._id

    @property
    def spec(self) -> Spec:
        """What was asked for."""
        return self._spec

    def assign(self, task: str) -> None:
        """It is this task's from now on.

        Raises:
            ValueError: it is somebody's already.
        """
        if self._spec.task is not None:
            raise ValueError(f"sandbox {self._id[:12]} was claimed before; a sandbox is never used twice")
        self._raise_if_over()
        self._spec = self._spec.model_copy(update={"task": task})

    @property
    def failure(self) -> SandboxError | None:
        """Why it ended, once it has."""
        return self._failure

    async def send(self, frame: bytes) -> None:
        """See `contract.Sandbox.send`."""
        if b"\n" in frame:
            raise ValueError("a frame must not hold a line feed: encode the message on one line")
        self._raise_if_over()
        left = await self._send_together(frame)
        if left is not None:
            with self._until_over():
                async with self._sending:
                    self._output = 0
                    await self._write(left)
        self._raise_if_over()

    def _is_busy(self) -> bool:
        """Whether others send at the same time, so that waiting for a turn of the event loop is worth it."""
        before, self._sent_at = self._sent_at, time.monotonic()
        return self._sent_at - before < TOGETHER_SECONDS

    async def _send_together(self, frame: bytes) -> bytes | None:
        """Write it at once, or with what others send in this turn of the event loop; what is left for `write`, if any.

        Whoever goes on first writes for all. Who is cancelled before that takes the frame back.
        """
        sent = _Sent(frame + b"\n")
        self._gathered.append(sent)
        if self._is_busy():
            try:
                await asyncio.sleep(0)
            except BaseException:
                if sent in self._gathered:
                    self._gathered.remove(sent)
                raise
        if sent in self._gathered:
            self._write_gathered()
        return sent.left

    def _write_gathered(self) -> None:
        self._raise_if_over()
        group, self._gathered = self._gathered, []
        data = b"".join(sent.frame for sent in group) if len(group) > 1 else group[0].frame
        self._output = 0
        try:
            written = self._stdin.write_now(data)
        except OSError:
            written = 0  # each finds out by itself, where it can wait for the reason
        for sent in group:
            if not written:
                sent.left = sent.frame
            elif written < len(data):
                sent.left = b""

    async def _write(self, data: bytes) -> None:
        try:
            await self._stdin.write(data)
        except OSError:
            # The backend's reader learns why. It may be waiting for room for the last frames: let those in.
            self._draining = True
            self._notify()
            await self._over.wait()

    async def receive(self) -> bytes:
        """See `contract.Sandbox.receive`. Frames that came before the end are given out before the error."""
        while not self._frames:
            self._raise_if_over()
            await self._changed.wait()
        frame = self._frames.popleft()
        self._held -= len(frame)
        self._notify()
        return frame

    def offer_first(self, take: Callable[[bytes], bool] | None) -> None:
        """See `contract.Sandbox.offer_first`."""
        self._take = take

    def stderr_tail(self, limit: int | None = None) -> str:
        """See `contract.Sandbox.stderr_tail`; only its last `limit` bytes if given."""
        return self._stderr.text(limit)

    async def pause(self) -> None:
        """See `contract.Sandbox.pause`."""
        if self._failure is None:
            await self._controls.pause()

    async def resume(self) -> None:
        """See `contract.Sandbox.resume`."""
        if self._failure is None:
            await self._controls.resume()

    def limits_hit(self) -> tuple[LimitHit, ...]:
        """See `contract.Sandbox.limits_hit`."""
        return self._controls.limits_hit()

    async def feed_stdout(self, data: bytes) -> None:
        """Take what the program wrote; waits while the frames that it holds are not read.

        Raises:
            OutputFloodError: a limit is passed; the caller kills the sandbox.
        """
        self._count(len(data))
        try:
            for frame in self._splitter.feed(data):
                await self._put(frame)
        except FrameTooLongError:
            limit = self._spec.limits.frame_mib
            raise self._flood(f"one line of more than {limit} MiB", "frame_mib", limit) from None

    def take_stdout(self, outputs: Sequence[bytes]) -> bool:
        """As `feed_stdout` with each, if that would neither wait nor fail; if not, nothing has been done."""
        size = sum(map(len, outputs))
        limits = self._spec.limits
        if self._frames or self._output + size > limits.output_mib * MIB:
            return False
        if size > HELD_BYTES or self._splitter.pending + size > limits.frame_mib * MIB:
            return False
        self._output += size
        for data in outputs:
            for frame in self._splitter.feed(data):
                self._put_now(frame)
        return True

    def feed_stderr(self, data: bytes) -> None:
        """Take what the program complained.

        Raises:
            OutputFloodError: as for standard output.
        """
        self._stderr.write(data)
        self._count(len(data))

    def _count(self, size: int) -> None:
        limit = self._spec.limits.output_mib
        self._output += size
        if self._output > limit * MIB:
            raise self._flood(f"more than {limit} MiB since it was last written to", "output_mib", limit)

    def _flood(self, what: str, setting: str, limit_mib: int) -> OutputFloodError:
        return OutputFloodError(
            f"The program of server {self._spec.server!r} wrote {what}, so its sandbox was killed. "
            f"If it must write that much, raise the server's limit {setting} of {limit_mib}.",
            sandbox=self._id,
            limit_bytes=limit_mib * MIB,
        )

    async def _put(self, frame: bytes) -> None:
        if self._take is not None and not self._frames and self._take(frame):
            self.spoke = True
            return
        while self._frames and self._held + len(frame) > HELD_BYTES and not self._draining:
            await self._changed.wait()
        self._hold(frame)

    def _put_now(self, frame: bytes) -> None:
        if self._take is not None and not self._frames and self._take(frame):
            self.spoke = True
        else:
            self._hold(frame)

    def _hold(self, frame: bytes) -> None:
        self.spoke = True
        self._frames.append(frame)
        self._held += len(frame)
        self._notify()

    def fail(self, error: SandboxError) -> None:
        """Say why nothing more will come. The first reason stays."""
        if self._failure is None:
            self._failure = error
        self._finish()

    async def close(self) -> None:
        """End of the lease: whoever still uses it made a mistake. On return no one writes to `Stdin` any more."""
        self._failure = SandboxClosedError(
            f"Sandbox {self._id[:12]} was used after its lease had ended. Take a new lease.", sandbox=self._id
        )
        self._frames.clear()
        self._finish()
        with anyio.CancelScope(shield=True):
            async with self._sending:
                pass

    def _finish(self) -> None:
        self._over.set()
        self._notify()
        for scope in self._scopes:
            scope.cancel()

    def _raise_if_over(self) -> None:
        if self._failure is not None:
            self._raise(self._failure)

    def _raise(self, failure: SandboxError) -> NoReturn:
        raise failure.with_traceback(None)  # else each later call would lengthen the first one's traceback

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    @contextmanager
    def _until_over(self) -> Iterator[None]:
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)
