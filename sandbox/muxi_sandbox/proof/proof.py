"""A sandbox is made like any other, a probe in it tries to get out, and what it could do is the report.

Above it: the runtime, which does not serve if a probe got somewhere; `doctor --proof`. Below it: any `Backend`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import anyio

from muxi_sandbox.contract import Limits, Spec, WorkspaceAccess
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from muxi_sandbox.contract import Backend, Sandbox

__all__ = ["Finding", "Proof", "prove"]

LIMITS = Limits(memory_mib=128, pids=24, workspace_mib=4, tmp_mib=4, shm_mib=1)
SECONDS = 30
ONE_MIB = 2**20
TASK = "proof"
FEWEST = 40
"""Findings of a whole run: fewer mean that the probe was cut off."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One attempt: `ok` if it came to nothing."""

    name: str
    tried: str
    happened: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """All attempts in one kind of sandbox.

    Attributes:
        at: UTC, ISO 8601.
        runtime: the engine runtime, empty for the engine's own.
    """

    at: str
    image: str
    runtime: str
    findings: tuple[Finding, ...]

    def failures(self, accepted: tuple[str, ...] = ()) -> list[Finding]:
        """What got somewhere, without what the operator accepts."""
        return [finding for finding in self.findings if not finding.ok and finding.name not in accepted]

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


async def prove(backend: Backend, image: str, *, runtime: str | None = None) -> Proof:
    """Try it. Never raises: a probe that could not run is a failed one.

    `image` has a Python.
    """
    spec = Spec(
        server="proof",
        image=image,
        command=("python3", "-I", "-c", resources.files("muxi_sandbox.proof").joinpath("probe.py").read_text("utf-8")),
        environment={"PROBE_MEMORY": str(LIMITS.memory_mib * ONE_MIB), "PROBE_PIDS": str(LIMITS.pids)},
        workspace=WorkspaceAccess.WRITE,
        limits=LIMITS,
        runtime=runtime,
    )
    findings: list[Finding] = []
    try:
        with anyio.fail_after(SECONDS):
            await _run(backend, spec, findings)
    except TimeoutError:
        findings.append(Finding("run", "run the probe", f"it took more than {SECONDS} s", ok=False))
    except SandboxError as error:
        findings.append(Finding("run", "run the probe", str(error), ok=False))
    if len(findings) < FEWEST:
        findings.append(Finding("whole", "run every probe", f"only {len(findings)} came back", ok=False))
    return Proof(datetime.now(UTC).isoformat(timespec="seconds"), image, runtime or "", tuple(findings))


async def _run(backend: Backend, spec: Spec, findings: list[Finding]) -> None:
    if backend.can_prepare(spec):
        # Nobody's yet: what a server sees that waits for its task.
        async with backend.prepare(spec) as prepared:
            await _read(prepared.sandbox, findings)
        return
    unshared = spec.model_copy(update={"task": TASK, "workspace": WorkspaceAccess.READ})
    try:
        async with backend.lease(unshared) as lease:
            await _read(lease.sandbox, findings)
    finally:
        with anyio.CancelScope(shield=True):
            await backend.end_task(TASK)


async def _read(sandbox: Sandbox, findings: list[Finding]) -> None:
    while True:
        line = json.loads(await sandbox.receive())
        if line == {"name": "end"}:
            return
        findings.append(Finding(**line))
