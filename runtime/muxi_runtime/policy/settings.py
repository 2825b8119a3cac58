"""Settings of the policy: the `policy:` section of muxi.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PolicySettings"]


class PolicySettings(BaseModel):
    """Which rules hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[Path, ...] = Field(
        (), description="Cedar files that replace the default rules; `default` stands for the shipped ones"
    )
    user_words_from: tuple[str, ...] = Field(
        (), description="users whose clients are believed when they tell what their user wrote (`muxi/user`)"
    )
    approval_seconds: float = Field(
        3600, gt=0, description="how long a question waits for an answer, and what was allowed once for its call"
    )
