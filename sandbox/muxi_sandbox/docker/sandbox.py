"""One container that runs: pumps its output into a `StreamSandbox` and finds out why it ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.docker.attach import BrokenStreamError, Output
from muxi_sandbox.docker.limit_watch import LimitWatch
from muxi_sandbox.errors import (
    EngineRestartedError,
    EngineUnavailableError,
    LeaseExpiredError,
    OutputFloodError,
    SandboxDiedError,
    SandboxError,
    StartFailedError,
)
from muxi_sandbox.stream import StreamSandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from muxi_sandbox.contract import LimitHit, Spec
    from muxi_sandbox.docker.attach import Attachment
    from muxi_sandbox.docker.engine import ContainerState, Engine
    from muxi_sandbox.docker.settings import EngineSettings
    from muxi_sandbox.docker.watch import EngineWatch

__all__ = ["ContainerSandbox"]

log = logging.getLogger(__name__)

STDERR_IN_ERROR = 4096
COMPLAINTS = ("[FATAL tini", "[FATAL forward]")
"""What the engine's init and the forwarder say when they cannot execute the command; they end with 126 or 127 then."""
NOT_EXECUTED = (126, 127)


class ContainerSandbox:
    """A container, its streams, and the task that reads them; the backend runs `pump` and calls `close`."""

    def __init__(
        self,
        container: str,
        spec: Spec,
        attachment: Attachment,
        *,
        engine: Engine,
        watch: EngineWatch,
        settings: EngineSettings,
        workspace: Callable[[str], Path | None],
    ) -> None:
        """`workspace` is where the host sees a task's files."""
        self.stream = StreamSandbox(container, spec, attachment, self)
        self._container = container
        self._attachment = attachment
        self._engine = engine
        self._watch = watch
        self._settings = settings
        self._generation = watch.generation
        self._limits = LimitWatch(container, spec.limits, lambda: workspace(self.stream.spec.task or ""))
        self._scope = anyio.CancelScope()
        self._pumped = anyio.Event()
        self._expires = anyio.current_time() + spec.limits.lease_seconds

    async def pump(self, when_over: Callable[[], None]) -> None:
        """Read until the program ends or its limits are reached, then say why. Runs once, in a task of the backend."""
        try:
            with self._scope:
                failure = await self._read_until_failure()
                when_over()
                self.stream.fail(failure)
        finally:
            self._pumped.set()

    async def _read_until_failure(self) -> SandboxError:
        with anyio.move_on_at(self._expires):
            try:
                await self._read()
                return await self._why_it_ended()
            except OutputFloodError as flood:
                await self._kill()
                return flood
            except Exception:
                # The boundary between one sandbox and all others, whose output is read in the same group.
                log.exception("the output of container %s could not be read, and it is killed", self._container[:12])
                await self._kill()
                return self._unreadable()
        await self._kill()
        limit = self.stream.spec.limits.lease_seconds
        return LeaseExpiredError(
            f"The sandbox of server {self.stream.spec.server!r} lived for its limit of {limit:g} s and was killed. "
            "Take a new lease, or raise the server's limit lease_seconds.",
            sandbox=self._container,
        )

    def _unreadable(self) -> SandboxDiedError:
        return SandboxDiedError(
            f"What the program of server {self.stream.spec.server!r} wrote could not be read, so its sandbox was "
            "killed. The runtime's log says why; report it, and take a new lease.",
            sandbox=self._container,
            stderr=self.stream.stderr_tail(STDERR_IN_ERROR),
        )

    async def _read(self) -> None:
        self._attachment.offer_first(self.stream.take_stdout)
        try:
            async for output, data in self._attachment.pieces():
                if output is Output.STDOUT:
                    await self.stream.feed_stdout(data)
                else:
                    self.stream.feed_stderr(data)
        except BrokenStreamError as error:
            log.error("container %s: %s", self._container[:12], error)  # noqa: TRY400  # the text says it all

    async def _why_it_ended(self) -> SandboxError:
        if not await self._engine.answers(self._settings.restart_grace_seconds):
            return EngineUnavailableError(
                f"The container engine at {self._settings.socket} went away while a sandbox of server "
                f"{self.stream.spec.server!r} was open. Start it, then take a new lease.",
                sandbox=self._container,
            )
        if self._watch.generation != self._generation:
            return EngineRestartedError(
                f"The container engine was restarted under an open sandbox of server {self.stream.spec.server!r}. "
                "Take a new lease.",
                sandbox=self._container,
            )
        try:
            state = await self._engine.state(self._container)
        except SandboxError as error:
            return error
        if state.is_running:
            # It closed its output, or the engine broke the stream: either way it cannot be heard again.
            await self._kill()
        return self._died(state)

    def _died(self, state: ContainerState) -> SandboxError:
        stderr = self.stream.stderr_tail(STDERR_IN_ERROR)
        server = self.stream.spec.server
        if state.exit_code in NOT_EXECUTED and not self.stream.spoke and any(said in stderr for said in COMPLAINTS):
            return StartFailedError(
                f"The command of server {server!r} could not be executed: {stderr.strip()}. "
                "Check `command` in its manifest and what its image holds.",
                sandbox=self._container,
            )
        how = f"exited with code {state.exit_code}"
        if state.out_of_memory:
            limit = self.stream.spec.limits.memory_mib
            how = f"ran out of memory and was killed; raise its limit memory_mib of {limit} if it needs more"
        elif state.is_running:
            how = "closed its output while it ran, and was killed"
        elif state.exit_code is None:
            how = "was removed by someone else"
        return SandboxDiedError(
            f"The program of server {server!r} {how}. Its last words: {stderr.strip() or '(none)'}",
            sandbox=self._container,
            exit_code=None if state.is_running else state.exit_code,
            out_of_memory=state.out_of_memory,
            stderr=stderr,
        )

    async def _kill(self) -> None:
        self._attachment.cut()
        try:
            await self._engine.kill(self._container)
        except SandboxError as error:
            log.warning("%s The end of the lease will try again.", error)

    async def pause(self) -> None:
        """See `contract.Sandbox.pause`."""
        await self._engine.pause(self._container)

    async def resume(self) -> None:
        """See `contract.Sandbox.resume`."""
        await self._engine.resume(self._container)

    def limits_hit(self) -> tuple[LimitHit, ...]:
        """See `contract.Sandbox.limits_hit`."""
        return self._limits.hits()

    async def close(self) -> None:
        """Stop reading and writing, and close the connection. The container itself is the backend's to remove."""
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._pumped.wait()
            await self.stream.close()
        self._limits.close()
        self._attachment.close()
