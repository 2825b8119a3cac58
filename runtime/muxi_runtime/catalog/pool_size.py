"""How many sandboxes of one server are held ready: what a manifest asks for, and what the operator says."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PoolSize"]


class PoolSize(BaseModel):
    """What is absent is left to whoever has less to say: the manifest of a built-in server, then `pool:`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor: int | None = Field(
        None,
        ge=0,
        description="when nothing happens; absent: the manifest's, else `pool.floor`, 0 for servers of others",
    )
    ceiling: int | None = Field(
        None, ge=0, description="when many are wanted; absent: the manifest's, else `pool.ceiling`"
    )
