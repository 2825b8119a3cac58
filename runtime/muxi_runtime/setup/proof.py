"""Proof before service: in each kind of sandbox in use, a probe tries to get out. If it can, nothing is served."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from muxi_runtime.errors import SetupError
from muxi_runtime.journal.contract import Draft
from muxi_sandbox.contract import Check
from muxi_sandbox.errors import ImageMissingError
from muxi_sandbox.proof.proof import Proof, prove

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from muxi_runtime.catalog.manifest import Manifest
    from muxi_runtime.journal.contract import Journal
    from muxi_sandbox.contract import Backend

__all__ = ["PROBE_IMAGE", "check_runtimes", "demand_proof", "prove_all", "runtimes_of", "store_proofs"]

PROBE_IMAGE = "python"
"""The image of this project that the probe runs in."""


def runtimes_of(servers: Iterable[Manifest], known: Collection[str]) -> list[str | None]:
    """Engine runtimes in use, of those that the engine knows; `None`, the default, always.

    A sandbox that wants another one is refused by itself.
    """
    wanted = {server.profile.runtime for server in servers if server.profile.runtime}
    return [None, *sorted(wanted & set(known))]


def check_runtimes(servers: Mapping[str, Manifest], known: Collection[str]) -> list[Check]:
    """Which servers cannot start, since their limits class wants a runtime that the engine does not have."""
    checks = []
    wanted = {server.profile.runtime for server in servers.values() if server.profile.runtime}
    for runtime in sorted(wanted - set(known)):
        names = [name for name, server in servers.items() if server.profile.runtime == runtime]
        classes = sorted({servers[name].profile.limits_class for name in names})
        checks.append(
            Check(
                f"runtime {runtime}",
                ok=False,
                detail=f"wanted by {', '.join(names)}; the engine has {', '.join(sorted(known)) or 'none'}",
                cure=f"Install {runtime} and tell the engine of it, or change limits_classes.{classes[0]}.runtime.",
            )
        )
    return checks


async def prove_all(backend: Backend, images: Mapping[str, str | None], runtimes: Sequence[str | None]) -> list[Proof]:
    """One proof for each runtime, one after the other.

    Raises:
        ImageMissingError: there is nothing to run the probe in.
    """
    image = images.get(PROBE_IMAGE)
    if image is None:
        raise ImageMissingError(
            f"The image {PROBE_IMAGE!r} is not built, so it cannot be proved that sandboxes hold here. "
            "Run `muxi-runtime images build`."
        )
    return [await prove(backend, image, runtime=runtime) for runtime in runtimes]


def store_proofs(home: Path, proofs: Sequence[Proof]) -> Path:
    """Keep them as `proof.json` in the state folder; the path."""
    path = home / "proof.json"
    document: dict[str, Any] = {"proofs": [proof.document() for proof in proofs]}
    waiting = path.with_suffix(".new")
    waiting.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    waiting.chmod(0o600)
    os.replace(waiting, path)  # noqa: PTH105  # whole or not at all
    return path


async def demand_proof(proofs: Sequence[Proof], accepted: tuple[str, ...], journal: Journal, where: Path) -> None:
    """Journal what came of it, and refuse to go on if a probe got somewhere.

    Raises:
        SetupError: with each probe that did, and that the operator does not accept by name.
    """
    failures = [(proof, finding) for proof in proofs for finding in proof.failures()]
    refused = [(proof, finding) for proof, finding in failures if finding.name not in accepted]
    facts = {
        "probes": sum(len(proof.findings) for proof in proofs),
        "failed": sorted({finding.name for _, finding in failures}),
        "accepted": sorted({finding.name for _, finding in failures} & set(accepted)),
        "runtimes": [proof.runtime for proof in proofs],
    }
    await journal.append(Draft("proof.finished", data=facts))
    if refused:
        lines = [
            f"- {finding.name}: {finding.tried}: {finding.happened} (under {proof.runtime or 'the default runtime'})"
            for proof, finding in refused
        ]
        raise SetupError(
            "A probe got further in a sandbox than it should, so nothing is served:\n" + "\n".join(lines),
            step="proof",
            remedy=f"See `muxi-runtime doctor --proof` and {where}. What you accept, name in muxi.yaml: "
            f"engine.accept_failed_probes: [{', '.join(dict.fromkeys(finding.name for _, finding in refused))}].",
        )
