"""Whether a container that runs is the one that an earlier process left for its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_sandbox.docker.hardening import INSTALLATION_LABEL
from muxi_sandbox.errors import SandboxDiedError, SpecRefusedError

if TYPE_CHECKING:
    from muxi_sandbox.contract import KeptSandbox
    from muxi_sandbox.docker.engine import Json

__all__ = ["require_same"]


def require_same(kept: KeptSandbox, inspected: Json, installation: str) -> None:
    """Look at what the engine says of it.

    Raises:
        SandboxDiedError: it does not run any more.
        SpecRefusedError: it is another container than the one that was kept.
    """
    labels = inspected["Config"].get("Labels") or {}
    same = (
        inspected["Id"] == kept.id
        and inspected["Name"].lstrip("/") == kept.name
        and labels.get(INSTALLATION_LABEL) == installation
        and labels.get("muxi.server") == kept.spec.server
        and labels.get("muxi.task") in {"", kept.spec.task}
    )
    if not same:
        raise SpecRefusedError(
            f"Container {kept.id[:12]} is not the one that was kept for task {kept.spec.task}.", sandbox=kept.id
        )
    if not inspected["State"]["Running"]:
        raise SandboxDiedError(
            f"The sandbox of server {kept.spec.server!r} ended while no runtime was there.",
            sandbox=kept.id,
            exit_code=inspected["State"].get("ExitCode"),
        )
