"""Settings of the container engine: the `engine:` section of muxi.yaml."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EngineSettings"]


class EngineSettings(BaseModel):
    """Which engine, and how long to wait for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Path = Field(Path("/var/run/docker.sock"), description="the engine's Unix socket")
    runtime: str | None = Field(None, description="engine runtime of every sandbox, e.g. runsc; none: the engine's own")
    run_folder: Path | None = Field(
        None,
        description="where workspaces are mounted and sockets are; the engine must see it. None: `/run/muxi-runtime`; "
        "of a user who is not root, `muxi-runtime` in `$XDG_RUNTIME_DIR`, or `/tmp/muxi-runtime-UID`",
    )
    mounts: bool = Field(
        default=True, description="false: mount nothing; workspaces are volumes of the engine, no sandbox is made ahead"
    )
    accept_failed_probes: tuple[str, ...] = Field(
        (), description="names of probes that may get somewhere, and the runtime serves nevertheless"
    )
    call_seconds: float = Field(30, gt=0, description="one request to the engine")
    remove_seconds: float = Field(30, gt=0, description="kill and remove one sandbox")
    restart_grace_seconds: float = Field(3, gt=0, description="how long an engine that went away may take to come back")
    parallel_calls: int = Field(16, ge=1, description="requests to the engine at once")

    @property
    def run_root(self) -> Path:
        """The run folder, as set or as it is by itself."""
        if self.run_folder is not None:
            return self.run_folder
        if os.geteuid() == 0:
            return Path("/run/muxi-runtime")
        if own := os.environ.get("XDG_RUNTIME_DIR"):
            return Path(own) / "muxi-runtime"
        return Path(f"/tmp/muxi-runtime-{os.geteuid()}")  # noqa: S108  # nosec B108  # whose it is gets checked
