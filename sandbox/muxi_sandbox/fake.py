"""The in-memory backend: programs are coroutines, and each failure of `errors` can really be had.

    async def echo(process: FakeProcess) -> int:
        while True:
            await process.send(await process.receive())

    async with FakeBackend(programs={"echo": echo}) as backend, backend.lease(spec) as lease: ...

`Spec.image` names the program. What a host leaves behind is kept by a `FakeEngine`; two backends on one engine are two
host processes. Given a task group of its own, an engine also runs on what its hosts left, for the next to adopt. It
passes the same `conformance` as the Docker backend.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.contract import BackendHealth, Check, KeptSandbox, Lease, WorkspaceAccess
from muxi_sandbox.errors import (
    EngineRestartedError,
    EngineUnavailableError,
    ImageMissingError,
    LeaseExpiredError,
    OutputFloodError,
    SandboxDiedError,
    SandboxError,
    SpecRefusedError,
    StartFailedError,
)
from muxi_sandbox.fake_process import FakeProcess, NoSuchCommandError, OutOfMemoryError, Pipe
from muxi_sandbox.fake_workspace import FakeFiles, FakeWorkspace
from muxi_sandbox.stream import StreamSandbox
from muxi_sandbox.workspaces.memory import MemoryFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from muxi_sandbox.contract import Spec

__all__ = ["FakeBackend", "FakeEngine", "FakeProcess", "NoSuchCommandError", "OutOfMemoryError", "Program"]

Program = Callable[[FakeProcess], Awaitable[int]]
"""What an image's program does; its result is the exit code."""


@dataclass(eq=False, slots=True)
class _Running:
    installation: str
    process: FakeProcess
    scope: anyio.CancelScope
    ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def task(self) -> str | None:
        return self.process.stream.spec.task

    async def kill(self, why: SandboxError | None = None) -> None:
        if why is not None:
            self.process.stream.fail(why)
        self.scope.cancel()
        with anyio.CancelScope(shield=True):
            await self.ended.wait()


class _Prepared:
    """See `contract.Prepared`."""

    def __init__(self, process: FakeProcess, workspace: Callable[[Spec], tuple[FakeFiles | None, bool]]) -> None:
        self._process = process
        self._workspace = workspace

    @property
    def sandbox(self) -> StreamSandbox:
        """See `contract.Prepared.sandbox`."""
        return self._process.stream

    async def claim(self, task: str) -> Lease:
        """See `contract.Prepared.claim`."""
        self.sandbox.assign(task)
        self._process.files, is_new = self._workspace(self.sandbox.spec)
        return Lease(self.sandbox, workspace_is_new=is_new)


class FakeEngine:
    """What would be the container engine: it outlives the hosts that use it, and can be stopped."""

    def __init__(self, tasks: TaskGroup | None = None) -> None:
        """`tasks` outlives the hosts and runs their programs; without it, no program outlives its host."""
        self.is_up = True
        self.tasks = tasks
        self._ids = itertools.count(1)
        self.running: dict[str, _Running] = {}
        self.image_ids: dict[str, str] = {}
        """By name, for images that were replaced: the name itself for others."""
        self.workspaces: dict[tuple[str, str], FakeWorkspace] = {}
        """By installation and task."""

    def next_id(self) -> str:
        """An id that no sandbox had."""
        return f"fake-{next(self._ids):08d}"

    async def stop(self) -> None:
        """No engine answers any more, and what runs is out of reach."""
        self.is_up = False
        await self._lose(EngineUnavailableError("The engine went away. Start it, then take a new lease."))

    async def restart(self) -> None:
        """The engine goes away and comes back; what ran is gone."""
        await self._lose(EngineRestartedError("The engine was restarted under an open sandbox. Take a new lease."))
        self.is_up = True

    async def _lose(self, why: SandboxError) -> None:
        for running in list(self.running.values()):
            await running.kill(why)
        self.running.clear()

    def require(self) -> None:
        """Raises: EngineUnavailableError: it is stopped."""
        if not self.is_up:
            raise EngineUnavailableError("No container engine answers. Start it.")


class FakeBackend:
    """Sandboxes as coroutines; see `contract.Backend`."""

    def __init__(
        self,
        programs: Mapping[str, Program],
        *,
        engine: FakeEngine | None = None,
        installation: str = "fake",
        seccomp: frozenset[str] = frozenset({"default"}),
        runtimes: frozenset[str] = frozenset(),
        can_mount: bool = True,
    ) -> None:
        """`can_mount` false makes a host that cannot give a running sandbox its workspace."""
        self._programs = dict(programs)
        self.engine = engine or FakeEngine()
        self._installation = installation
        self._seccomp = seccomp
        self._runtimes = runtimes
        self._can_mount = can_mount
        self._held: set[str] = set()
        self._held_tasks: set[str] = set()
        self._left: set[str] = set()
        self._spared: dict[str, set[str]] = {}
        """By task that an earlier host left: ids of what this one did not adopt yet."""
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for sandbox in list(self._held):
            await self._end(sandbox)
        for task in self._held_tasks - self._spared.keys():
            self._forget(task)
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    @asynccontextmanager
    async def lease(self, spec: Spec) -> AsyncIterator[Lease]:
        """See `contract.Backend.lease`."""
        if spec.task is None:
            raise ValueError("a lease is for a task: the spec names none")
        async with self._sandbox(spec) as prepared:
            yield await prepared.claim(spec.task)

    @asynccontextmanager
    async def prepare(self, spec: Spec) -> AsyncIterator[_Prepared]:
        """See `contract.Backend.prepare`."""
        if not self.can_prepare(spec):
            raise SpecRefusedError("This host may not mount: a sandbox with a workspace cannot be made ahead.")
        async with self._sandbox(spec) as prepared:
            yield prepared

    def can_prepare(self, spec: Spec) -> bool:
        """See `contract.Backend.can_prepare`."""
        return self._can_mount or spec.workspace is WorkspaceAccess.NONE

    @asynccontextmanager
    async def _sandbox(self, spec: Spec) -> AsyncIterator[_Prepared]:
        await anyio.lowlevel.checkpoint()
        self.engine.require()
        program = self._admit(spec)
        sandbox = self.engine.next_id()
        pipe = Pipe()
        unclaimed = spec.model_copy(update={"task": None})
        process = FakeProcess(unclaimed, pipe)
        process.stream = StreamSandbox(sandbox, unclaimed, pipe, process)
        running = _Running(self._installation, process, anyio.CancelScope())
        self.engine.running[sandbox] = running
        self._held.add(sandbox)
        prepared = _Prepared(process, self._workspace)
        (self.engine.tasks or self._tasks).start_soon(self._run, program, running)
        try:
            yield prepared
        finally:
            await self._end(sandbox)

    def _admit(self, spec: Spec) -> Program:
        if spec.seccomp not in self._seccomp or not {spec.runtime} <= {None, *self._runtimes}:
            raise SpecRefusedError(
                f"The engine has no seccomp profile {spec.seccomp!r} or no runtime {spec.runtime!r}."
            )
        program = self._programs.get(spec.image)
        if program is None:
            raise ImageMissingError(f"The engine has no image {spec.image!r}. Register a program of that name.")
        return program

    def _workspace(self, spec: Spec) -> tuple[FakeFiles | None, bool]:
        if spec.workspace is WorkspaceAccess.NONE:
            return None, False
        if spec.task is None:
            raise ValueError("a workspace is a task's")
        key = (self._installation, spec.task)
        is_new = key not in self.engine.workspaces
        workspace = self.engine.workspaces.setdefault(key, FakeWorkspace.of(spec.limits))
        self._held_tasks.add(spec.task)
        return FakeFiles(workspace, is_writable=spec.workspace is WorkspaceAccess.WRITE), is_new

    async def _run(self, program: Program, running: _Running) -> None:
        process = running.process
        try:
            with running.scope, anyio.move_on_after(process.stream.spec.limits.lease_seconds) as lifetime:
                why = await self._why_it_ended(program, process)
                process.stream.fail(why)
            if lifetime.cancelled_caught:
                why = LeaseExpiredError("The lease's time is over. Take a new lease.", sandbox=process.stream.id)
                process.stream.fail(why)
        finally:
            process.close()
            running.ended.set()

    async def _why_it_ended(self, program: Program, process: FakeProcess) -> SandboxError:
        exit_code, out_of_memory = 137, False
        try:
            exit_code = await program(process)
        except NoSuchCommandError as error:
            return StartFailedError(f"The command {error} could not be executed. Check it.", sandbox=process.stream.id)
        except OutputFloodError as flood:
            return flood
        except OutOfMemoryError:
            out_of_memory = True
        stream = process.stream
        stderr = stream.stderr_tail(4096)
        return SandboxDiedError(
            f"The program of server {stream.spec.server!r} exited with code {exit_code}. Its last words: {stderr}",
            sandbox=stream.id,
            exit_code=exit_code,
            out_of_memory=out_of_memory,
            stderr=stderr,
        )

    async def _end(self, sandbox: str) -> None:
        self._held.discard(sandbox)
        running = self.engine.running.get(sandbox)
        if running is None or running.installation != self._installation:
            return
        stream = running.process.stream
        if self.engine.tasks is not None and running.task in self._left:
            running.process.detach()
        else:
            del self.engine.running[sandbox]
            await running.kill()
        await stream.close()

    def _forget(self, task: str) -> bool:
        self._held_tasks.discard(task)
        return self.engine.workspaces.pop((self._installation, task), None) is not None

    def sandboxes(self, task: str) -> tuple[KeptSandbox, ...]:
        """See `contract.Backend.sandboxes`."""
        held = {name: self.engine.running[name] for name in self._held if name in self.engine.running}
        return tuple(
            KeptSandbox(name, name, running.process.stream.spec)
            for name, running in held.items()
            if running.task == task
        )

    def leave(self, task: str) -> None:
        """See `contract.Backend.leave`. Programs end with their host all the same where the engine has no tasks."""
        self._left.add(task)
        self._held_tasks.discard(task)

    def spare(self, task: str, kept: Sequence[KeptSandbox]) -> None:
        """See `contract.Backend.spare`."""
        self._spared[task] = {one.id for one in kept}
        if (self._installation, task) in self.engine.workspaces:
            self._held_tasks.add(task)

    @asynccontextmanager
    async def adopt(self, kept: KeptSandbox) -> AsyncIterator[Lease]:
        """See `contract.Backend.adopt`."""
        await anyio.lowlevel.checkpoint()
        self._spared.get(kept.spec.task or "", set()).discard(kept.id)
        self._held.add(kept.id)
        try:
            self.engine.require()
            running = self._same(kept)
            running.process.attach(StreamSandbox(kept.id, kept.spec, running.process.stdin, running.process))
            await running.process.resume()
            yield Lease(running.process.stream, workspace_is_new=False)
        finally:
            await self._end(kept.id)

    def _same(self, kept: KeptSandbox) -> _Running:
        running = self.engine.running.get(kept.id)
        if running is None or running.ended.is_set():
            raise SandboxDiedError("The sandbox ended while no runtime was there.", sandbox=kept.id)
        known = (running.installation, kept.id, running.process.stream.spec)
        if known != (self._installation, kept.name, kept.spec):
            raise SpecRefusedError(f"Sandbox {kept.id} is not the one that was kept.", sandbox=kept.id)
        return running

    async def image_id(self, image: str) -> str:
        """See `contract.Backend.image_id`."""
        await anyio.lowlevel.checkpoint()
        self.engine.require()
        if image not in self._programs:
            raise ImageMissingError(f"The engine has no image {image!r}. Register a program of that name.")
        return self.engine.image_ids.get(image, image)

    def files(self, task: str) -> MemoryFiles:
        """See `contract.Backend.files`."""
        return MemoryFiles(lambda: self.engine.workspaces.get((self._installation, task)))

    async def end_task(self, task: str) -> None:
        """See `contract.Backend.end_task`."""
        await anyio.lowlevel.checkpoint()
        self.engine.require()
        for sandbox in self._spared.pop(task, ()):
            await self._end(sandbox)
        self._forget(task)

    async def reap(self) -> int:
        """See `contract.Backend.reap`."""
        await anyio.lowlevel.checkpoint()
        self.engine.require()
        left = [
            sandbox
            for sandbox, running in self.engine.running.items()
            if running.installation == self._installation and sandbox not in self._held.union(*self._spared.values())
        ]
        for sandbox in left:
            why = SandboxDiedError("The sandbox was removed by someone else.", sandbox=sandbox)
            await self.engine.running.pop(sandbox).kill(why)
        tasks = [
            task
            for installation, task in self.engine.workspaces
            if installation == self._installation and task not in self._held_tasks
        ]
        return len(left) + sum(self._forget(task) for task in tasks)

    async def health(self) -> BackendHealth:
        """See `contract.Backend.health`."""
        is_up = self.engine.is_up
        check = Check("engine", is_up, "in memory" if is_up else "stopped", "" if is_up else "Start it.")
        summary = f"in memory, {'up' if is_up else 'stopped'}"
        return BackendHealth(is_up, summary, (check,), tuple(sorted(self._runtimes)))
