"""The seam between the runtime and whatever runs untrusted programs.

Above it: the gateway, which speaks MCP over a sandbox's frames. Below it: `docker.backend.DockerBackend` (production)
and `fake.FakeBackend` (in memory, for tests of what is above). Both pass `conformance`.

A backend promises:

- `lease` gives a sandbox in which the spec's program already runs, and that no one else has, had or will have;
- `prepare` gives the same ahead of time, for nobody yet: `Prepared.claim` makes it one task's, once;
- the sandbox has no network, and nothing of the host but the task's workspace and, if its spec names hosts, one Unix
  socket to the egress proxy (`egress.contract`), which exists from the claim on;
- leaving the lease kills and removes it, whatever happened, within a bounded time, also under cancellation;
- every wait is bounded, and every failure is one of `errors`, never a frame;
- what is left over after a crash is found again by labels and removed by `reap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from muxi_sandbox.workspaces.contract import WorkspaceFiles

__all__ = [
    "Backend",
    "BackendHealth",
    "Check",
    "KeptSandbox",
    "Lease",
    "LimitHit",
    "Limits",
    "Prepared",
    "Sandbox",
    "SecretPlace",
    "SecretRoute",
    "Spec",
    "WorkspaceAccess",
]

Name = r"^[a-z][a-z0-9-]{0,62}$"


class WorkspaceAccess(StrEnum):
    """How a sandbox sees its task's workspace, at `/workspace`."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


class Limits(BaseModel):
    """Hard limits of one sandbox. MiB are 2**20 bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: float = Field(1.0, gt=0, le=64, description="processors' worth of time")
    memory_mib: int = Field(512, ge=16, description="memory and swap together, tmpfs included")
    pids: int = Field(128, ge=4, description="processes and threads")
    open_files: int = Field(1024, ge=64, description="file descriptors of one process")
    tmp_mib: int = Field(64, ge=1, description="size of /tmp")
    shm_mib: int = Field(16, ge=1, description="size of /dev/shm")
    workspace_mib: int = Field(256, ge=1, description="size of the task's workspace")
    workspace_inodes: int = Field(20_000, ge=64, description="files and folders in the workspace")
    frame_mib: int = Field(16, ge=1, description="one line on standard output")
    output_mib: int = Field(64, ge=1, description="all output since the host last wrote")
    start_seconds: float = Field(30, gt=0, description="until the container runs")
    call_seconds: float = Field(600, gt=0, description="wall time of one call")
    lease_seconds: float = Field(8 * 3600, gt=0, description="the longest that one lease may live")


SecretPlace: TypeAlias = Literal["header", "path", "query", "body"]
"""Where in an HTTP request a secret may stand."""


class SecretRoute(BaseModel):
    """Where the value of a secret may go, in place of what stands for it in the sandbox. The value is not in here.

    `hosts` are canonical, each with its port.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")
    placeholder: str = Field(pattern=r"^muxi-secret-[0-9a-f]{32}$")
    hosts: tuple[str, ...] = ()
    places: tuple[SecretPlace, ...] = ("header",)


class Spec(BaseModel):
    """What to run and what it gets. Data only: no field reaches the engine as an option of its own.

    `task` is `None` while the sandbox is nobody's yet. `image` is a reference or id that the engine has; `command`
    empty means the image's own. `environment` holds placeholders of secrets, and values only where the manifest exposes
    them. `network` holds what it may connect to, as `egress.names` reads it; empty means nothing at all. `secrets`
    holds which placeholders the egress proxy replaces, and where; `exposed` names the variables of `environment` that
    hold values of secrets. `seccomp` names a profile of `muxi_images`. `runtime`
    names an engine runtime, `None` for the default.

    Without `init` the program is process 1 itself, and reaps what is orphaned. The engine's init holds copies of the
    program's streams where every process of the sandbox can open them; a program that runs others in its sandbox and
    hides its own streams from them has to be its own init.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str | None = Field(None, pattern=Name)
    server: str = Field(pattern=Name)
    image: str = Field(min_length=1, max_length=500)
    command: tuple[str, ...] = ()
    init: bool = True
    environment: dict[str, str] = Field(default_factory=dict)
    workspace: WorkspaceAccess = WorkspaceAccess.NONE
    network: tuple[str, ...] = ()
    secrets: tuple[SecretRoute, ...] = ()
    exposed: tuple[str, ...] = ()
    limits: Limits = Field(default_factory=Limits)
    seccomp: str = Field("default", pattern=Name)
    runtime: str | None = None


class Sandbox(Protocol):
    """One running program, spoken to in frames: lines of UTF-8 without their line feed (the MCP stdio transport)."""

    @property
    def id(self) -> str:
        """The engine's id, for the journal and for people."""

    @property
    def spec(self) -> Spec:
        """What was asked for; its `task` is set by the claim."""

    async def send(self, frame: bytes) -> None:
        """Write one frame to standard input; waits while the program does not read (back-pressure).

        Raises:
            SandboxError: why it can no longer be written to.
            ValueError: the frame holds a line feed.
        """

    async def receive(self) -> bytes:
        """The next frame from standard output; at most `limits.frame_mib`, empty lines left out.

        Only a few frames are held on the host: a reader that stops reading stops the program.

        Raises:
            SandboxError: why no frame will ever come again; the same again at each later call.
        """

    def offer_first(self, take: Callable[[bytes], bool] | None) -> None:
        """Have each frame that comes offered to `take`, before anybody receives it; what it takes is not received.

        `take` may not wait and has to bound what it keeps. Frames that wait for a reader stay in their order.
        """

    def stderr_tail(self) -> str:
        """The last 64 KiB of standard error, as text with control characters replaced."""

    async def pause(self) -> None:
        """Stop every process of the sandbox where it is; no error if it is stopped already or has ended.

        Raises:
            SandboxError: the engine could not do it; the sandbox runs on.
        """

    async def resume(self) -> None:
        """Let a paused sandbox go on; no error if it is not paused or has ended.

        Raises:
            SandboxError: the engine could not do it.
        """

    def limits_hit(self) -> tuple[LimitHit, ...]:
        """Which limits its programs ran into since this was last asked; empty where that cannot be known."""


@dataclass(frozen=True, slots=True)
class LimitHit:
    """One limit that was reached: `limit` names a field of `Limits`, `value` is what it is set to."""

    limit: str
    value: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one task to one sandbox, for `spec.limits.lease_seconds` at most."""

    sandbox: Sandbox
    workspace_is_new: bool
    """Whether this lease made the task's workspace (so that a lost one can be told)."""


@dataclass(frozen=True, slots=True)
class KeptSandbox:
    """What a later process needs to take a running sandbox over.

    Attributes:
        name: the backend's own name for it, besides its id.
        spec: with its task.
        volume: of the workspace, where that is a volume of the engine's; empty elsewhere.
        read_only: whether it was made with an empty, read-only place for the workspace.
    """

    name: str
    id: str
    spec: Spec
    volume: str = ""
    read_only: bool = True


class Prepared(Protocol):
    """A sandbox that runs and is nobody's yet. Its program sees no workspace and no way out before the claim."""

    @property
    def sandbox(self) -> Sandbox:
        """Already running; frames may be exchanged, so that its server is ready when it is claimed."""

    async def claim(self, task: str) -> Lease:
        """Make it this task's, for good: the workspace appears at `/workspace`, the egress socket listens.

        The program may have opened `/workspace` before: what it holds open of it stays empty and read-only.

        Raises:
            SandboxError: it ended, or could not be given what its spec says; it cannot be claimed again.
            ValueError: it was claimed before.
        """


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a person may want to know about the engine: `doctor` prints these."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """Whether leases can be given now, and the findings behind it. `ok` is false only for what makes them fail.

    `runtimes` are the names that `Spec.runtime` may have.
    """

    ok: bool
    summary: str
    checks: tuple[Check, ...] = field(default=())
    runtimes: tuple[str, ...] = field(default=())


class Backend(Protocol):
    """Gives leases. An async context manager: entering connects, leaving ends what is left of this process's leases."""

    def lease(self, spec: Spec) -> AbstractAsyncContextManager[Lease]:
        """A sandbox of its own for the block; the workspace of `spec.task` is there before the program starts.

        Raises:
            SandboxError: on entering; see `errors` for which. Nothing is left behind.
            ValueError: the spec names no task.
        """

    def prepare(self, spec: Spec) -> AbstractAsyncContextManager[Prepared]:
        """A sandbox ahead of its task, which lives for the block at most. `spec.task` is not looked at.

        Raises:
            SandboxError: on entering; `SpecRefusedError` where `can_prepare` is false.
        """

    def can_prepare(self, spec: Spec) -> bool:
        """Whether `prepare` is possible here: a workspace can be given later only where the host may mount."""

    def sandboxes(self, task: str) -> tuple[KeptSandbox, ...]:
        """Those that this process holds for the task now."""

    def leave(self, task: str) -> None:
        """From now on, what this process lets go of the task stays: its sandboxes run on, its workspace is kept."""

    def spare(self, task: str, kept: Sequence[KeptSandbox]) -> None:
        """What an earlier process left of the task is neither reaped nor, on leaving, ended by this one.

        To be called before `reap`. What is taken over ends with its lease, the rest with `end_task`.
        """

    def adopt(self, kept: KeptSandbox) -> AbstractAsyncContextManager[Lease]:
        """Take over a sandbox that an earlier process left, for the block; it is examined like a new one first.

        Raises:
            SandboxError: it is gone, or not as it was; whatever is left of it is removed.
        """

    async def image_id(self, image: str) -> str:
        """What the engine has under that name now; another one after the image was replaced.

        Raises:
            ImageMissingError: nothing.
            EngineUnavailableError: no answer.
        """

    def files(self, task: str) -> WorkspaceFiles:
        """The task's workspace from the host's side. Its methods fail while the task has none that the host sees."""

    async def end_task(self, task: str) -> None:
        """Remove what belongs to the task beyond its leases: the workspace, and what was spared and not taken over.

        No error if there is nothing.

        Raises:
            SandboxError: the engine could not do it; `reap` will.
        """

    async def reap(self) -> int:
        """Remove every sandbox and workspace of this installation that no lease of this process holds; how many."""

    async def health(self) -> BackendHealth:
        """Never raises: what is wrong is in the answer."""
