"""Settings of the journal: the `journal:` section of muxi.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["JournalSettings"]


class JournalSettings(BaseModel):
    """How durable an event is when its append returns, and how many may wait."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sync: Literal["normal", "full"] = Field(
        "normal",
        description="normal: survives the death of the process; full: that of the machine too, slower",
    )
    batch_events: int = Field(256, ge=1, le=10_000, description="events in one commit")
    queue_events: int = Field(4096, ge=1, description="events that may wait; past that, appends wait in line")
    event_bytes: int = Field(64 * 1024, ge=1024, description="one event's data as JSON; more is shortened")
    listener_events: int = Field(1024, ge=1, description="events that a slow listener may be behind")
