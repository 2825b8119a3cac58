"""What becomes of passages in untrusted results that give instructions to a model: the `results:` sections.

results: {instructions: withhold}             # of all servers
servers: {wiki: {results: {instructions: mark}}}   # of one
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Instructions", "ResultOverrides", "ResultSettings"]


class Instructions(StrEnum):
    """What becomes of them."""

    WITHHOLD = "withhold"
    MARK = "mark"
    PASS = "pass"  # noqa: S105 # nosec B105 - no password


class ResultSettings(BaseModel):
    """The `results:` section of muxi.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instructions: Instructions = Field(
        Instructions.WITHHOLD,
        description="passages of untrusted results that give instructions to a model: withhold, mark or pass",
    )


class ResultOverrides(BaseModel):
    """The same for one server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instructions: Instructions | None = Field(
        None, description="of this server's results: withhold, mark or pass; absent: as `results` says"
    )
