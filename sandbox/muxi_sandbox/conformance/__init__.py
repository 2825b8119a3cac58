"""What every backend must do, as code: `CHECKS`, each run by `run` against a `Subject`.

    for check in CHECKS:
        await run(check, subject)          # raises ConformanceError

A subject says how to connect to the backend under test, and how to run the guest there: a program of few operations,
`guest.py` where Python runs in the sandbox, `fake_guest.fake_guest` where programs are coroutines. After each check,
nothing of it may be left on the engine.
"""

from __future__ import annotations

from muxi_sandbox.conformance import adoption, claims, endings, floods, frames, leases, workspaces
from muxi_sandbox.conformance.scene import CHECKS, Check, ConformanceError, Scene, Subject, guest_command, run

__all__ = [
    "CHECKS",
    "Check",
    "ConformanceError",
    "Scene",
    "Subject",
    "adoption",
    "claims",
    "endings",
    "floods",
    "frames",
    "guest_command",
    "leases",
    "run",
    "workspaces",
]
