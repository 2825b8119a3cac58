"""Settings of the servers: the `servers:` section of muxi.yaml, one entry a server."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["NetworkSettings", "PoolSize", "ServerSettings"]


class NetworkSettings(BaseModel):
    """Where the operator lets a server connect to, whatever its manifest asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: tuple[str, ...] = Field((), description="hosts, in place of the manifest's; empty: none at all")


class PoolSize(BaseModel):
    """How many sandboxes of one server are held ready."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor: int | None = Field(
        None, ge=0, description="when nothing happens; absent: `pool.floor`, 0 for servers of others"
    )
    ceiling: int | None = Field(None, ge=0, description="when many are wanted; absent: `pool.ceiling`")


class ServerSettings(BaseModel):
    """What the operator says of one server: switch it, point to a manifest of one's own, set limits and hosts.

    `limits` replaces single limits, whatever class and manifest say: the operator may raise and lower. `network`
    replaces all that the manifest asks for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="whether it is offered")
    pins: bool = Field(
        default=True, description="false: its tools may change without being accepted anew, as while it is developed"
    )
    manifest: Path | None = Field(None, description="a manifest.yaml; without it the name is a built-in server's")
    network: NetworkSettings | None = Field(None, description="absent: what the manifest asks for")
    limits_class: str | None = Field(None, description="in place of the manifest's")
    limits: dict[str, float] = Field(default_factory=dict, description="single limits to replace")
    pool: PoolSize = Field(default_factory=PoolSize)
