"""Settings of the one door: the `gateway:` section of muxi.yaml."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["GatewaySettings", "RateSettings"]


class RateSettings(BaseModel):
    """Requests over HTTP that are answered; more get 429 and a time to wait."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_per_minute: int = Field(120_000, ge=1, description="requests of one user, by all keys and sessions together")
    key_per_minute: int = Field(120_000, ge=1, description="requests by one key, or by one client's tokens")
    address_per_minute: int = Field(240_000, ge=1, description="requests from one address; of IPv6 from one /64")
    failures_per_minute: int = Field(60, ge=1, description="requests from one address without a good key or token")


class GatewaySettings(BaseModel):
    """Where it listens, who may come in, and the limits of one call and of one task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to bind; any but loopback requires keys")
    port: int = Field(7890, ge=0, le=65535, description="0 takes a free one")
    require_key: Literal["auto", "always"] = Field("auto", description="auto: only when not bound to loopback")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host headers taken beside the bound address: name or name:port"
    )
    allowed_origins: tuple[str, ...] = Field((), description="Origin headers taken beside loopback's")
    tools: Literal["all", "search"] = Field(
        "all", description="what clients are shown: all tools, or two that find and call them"
    )
    max_body_bytes: int = Field(4 * 2**20, ge=1024, description="one HTTP request's body")
    max_json_depth: int = Field(64, ge=4, description="nesting of one message")
    call_seconds: float = Field(600, gt=0, description="one tool call, a person's answer not counted")
    question_seconds: float = Field(300, gt=0, description="how long a person may take to answer")
    approval_wait_seconds: float = Field(
        50, ge=0, description="how long a call waits for an answer where its client cannot ask; then it is refused"
    )
    handshake_seconds: float = Field(30, gt=0, description="a sandboxed server's first answer")
    idle_task_seconds: float = Field(1800, gt=0, description="a task without calls ends after this")
    pause_idle_seconds: float = Field(60, ge=0, description="a sandbox without calls is paused after this; 0: never")
    keep_idle_seconds: float = Field(7 * 24 * 3600, gt=0, description="a kept task without calls ends after this")
    max_kept_tasks: int = Field(20, ge=0, description="kept tasks at once, of all principals")
    max_tasks: int = Field(200, ge=1, description="tasks at once, of all principals")
    max_tasks_per_principal: int = Field(50, ge=1)
    max_result_bytes: int = Field(
        3 * 2**18, ge=1024, description="the texts of one result; the rest of a longer one is kept for its task"
    )
    max_whole_result_bytes: int = Field(16 * 2**20, ge=1024, description="one result; a larger one is refused")
    kept_results_bytes: int = Field(32 * 2**20, ge=1024, description="such rests of one task; older ones make room")
    all_kept_results_bytes: int = Field(256 * 2**20, ge=1024, description="such rests of all tasks")
    kept_result_seconds: float = Field(3600, gt=0, description="such a rest is dropped after this")
    rates: RateSettings = Field(default_factory=RateSettings)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the endpoint."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def keys_required(self) -> bool:
        """Whether a call without a key is refused."""
        return self.require_key == "always" or not self.is_loopback
