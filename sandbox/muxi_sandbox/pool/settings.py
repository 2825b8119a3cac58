"""Settings of the warm pool: the `pool:` section of muxi.yaml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PoolSettings"]


class PoolSettings(BaseModel):
    """How many sandboxes are held ready. Each server has its own floor and ceiling; these are the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor: int = Field(1, ge=0, description="ready sandboxes of one server when nothing happens; 0 makes none ahead")
    ceiling: int = Field(8, ge=0, description="ready sandboxes of one server at most, when many are wanted")
    total: int = Field(32, ge=0, description="ready sandboxes of all servers at most")
    half_life_seconds: float = Field(60, gt=0, description="until half of a past demand is forgotten")
    refill_pause_seconds: float = Field(0.05, ge=0, description="between one refill and the next")
    cold_at_once: int = Field(8, ge=1, description="sandboxes made at once for tasks that found none ready")
    queue_seconds: float = Field(300, gt=0, description="how long a task may wait for its turn to have one made")
    check_seconds: float = Field(60, gt=0, description="between two looks at whether ready ones answer and are current")
    max_age_seconds: float = Field(3600, gt=0, description="a ready sandbox that is older is replaced")
