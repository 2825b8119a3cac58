"""What a program of the in-memory backend sees of its sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.contract import LimitHit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from muxi_sandbox.contract import Spec
    from muxi_sandbox.fake_workspace import FakeFiles
    from muxi_sandbox.stream import StreamSandbox

__all__ = ["FakeProcess", "NoSuchCommandError", "OutOfMemoryError", "Pipe"]


class NoSuchCommandError(Exception):
    """A program raises it for a `Spec.command` that it does not have, before it does anything else."""


class OutOfMemoryError(Exception):
    """The program took more memory than its limit; not to be caught by it."""


class Pipe:
    """Standard input: a writer waits until the program reads."""

    def __init__(self) -> None:
        self._writer, self._reader = anyio.create_memory_object_stream[bytes](0)

    async def write(self, data: bytes) -> None:
        """See `stream.Stdin`."""
        try:
            await self._writer.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise BrokenPipeError("the program has ended") from error

    def write_now(self, data: bytes) -> int:
        """See `stream.Stdin`: nothing can be written before the program reads."""
        del data
        return 0

    async def read(self) -> bytes:
        """What was written in one go."""
        return await self._reader.receive()

    def close(self) -> None:
        """The program has ended."""
        self._reader.close()
        self._writer.close()


class FakeProcess:
    """Standard streams, files and memory of one program."""

    def __init__(self, spec: Spec, stdin: Pipe) -> None:
        self._spec = spec
        self.stdin = stdin
        self._is_heard = True
        self._allocated = 0
        self._going = anyio.Event()
        self._going.set()
        self._hits: list[LimitHit] = []
        self.stream: StreamSandbox
        """Where its output goes; set before it starts."""
        self.files: FakeFiles | None = None
        """The workspace, `None` without access and before the claim."""

    @property
    def command(self) -> tuple[str, ...]:
        """What the spec asked to run."""
        return self._spec.command

    @property
    def environment(self) -> Mapping[str, str]:
        """What the spec put in the environment."""
        return self._spec.environment

    async def receive(self) -> bytes:
        """The next frame from the host."""
        await self._going.wait()
        frame = (await self.stdin.read()).removesuffix(b"\n")
        await self._going.wait()
        return frame

    async def send(self, frame: bytes) -> None:
        """Write one frame; waits while the host does not read."""
        await self.write(frame + b"\n")

    async def write(self, data: bytes) -> None:
        """Write to standard output as it is."""
        await anyio.lowlevel.checkpoint()
        await self._going.wait()
        if self._is_heard:
            await self.stream.feed_stdout(data)

    async def complain(self, data: bytes) -> None:
        """Write to standard error."""
        await anyio.lowlevel.checkpoint()
        if self._is_heard:
            self.stream.feed_stderr(data)

    def detach(self) -> None:
        """Its host has gone: what it writes is lost until another one comes."""
        self._is_heard = False

    def attach(self, stream: StreamSandbox) -> None:
        """Another host is there."""
        self.stream = stream
        self._is_heard = True

    def allocate(self, mib: int) -> None:
        """Take memory for good.

        Raises:
            OutOfMemoryError: that was too much.
        """
        self._allocated += mib
        if self._allocated > self._spec.limits.memory_mib:
            raise OutOfMemoryError

    def hit(self, limit: str) -> None:
        """Run into a limit, a field of `Limits`, as the host notices it."""
        self._hits.append(LimitHit(limit, getattr(self._spec.limits, limit)))

    async def pause(self) -> None:
        """See `stream.Controls`: it stops at its next receive or write."""
        await anyio.lowlevel.checkpoint()
        if self._going.is_set():
            self._going = anyio.Event()

    async def resume(self) -> None:
        """See `stream.Controls`."""
        await anyio.lowlevel.checkpoint()
        self._going.set()

    def limits_hit(self) -> tuple[LimitHit, ...]:
        """See `stream.Controls`."""
        hits, self._hits = tuple(self._hits), []
        return hits

    def close(self) -> None:
        """The program has ended."""
        self.stdin.close()
