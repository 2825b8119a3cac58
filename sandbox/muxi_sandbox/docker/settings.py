"""Settings of the container engine: the `engine:` section of muxi.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EngineSettings"]


class EngineSettings(BaseModel):
    """Which engine, and how long to wait for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Path = Field(Path("/var/run/docker.sock"), description="the engine's Unix socket")
    runtime: str | None = Field(None, description="engine runtime of every sandbox, e.g. runsc; none: the engine's own")
    run_folder: Path = Field(
        Path("/run/muxi-runtime"), description="where workspaces are mounted and sockets are; the engine must see it"
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
