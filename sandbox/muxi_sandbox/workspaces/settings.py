"""Settings of snapshots: how much is kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SnapshotSettings"]


class SnapshotSettings(BaseModel):
    """How much is kept of the workspaces of tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_task: int = Field(10, ge=1, description="snapshots of one task")
    per_principal: int = Field(100, ge=1, description="snapshots of one principal, which outlive their tasks")
    total_mib: int = Field(20_480, ge=1, description="all snapshots together; none is taken beyond it")
    mib: int = Field(1024, ge=1, description="one snapshot's files together")
    entries: int = Field(100_000, ge=1, description="one snapshot's files and folders")
