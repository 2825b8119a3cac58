"""Settings of the egress proxy: the `egress:` section of muxi.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from muxi_sandbox.egress.names import parse_authority

__all__ = ["EgressSettings"]


class EgressSettings(BaseModel):
    """Limits of what sandboxes send and fetch, and the private hosts that they may reach at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    private: tuple[str, ...] = Field(
        (), description="`name:port` or `address:port` that may have an address that is not public"
    )
    connections: int = Field(64, ge=1, description="open connections of one sandbox")
    all_connections: int = Field(1024, ge=1, description="open connections of all sandboxes")
    connections_per_second: float = Field(50, gt=0, description="new connections of one sandbox, twice that in a burst")
    connection_mib: float = Field(1024, gt=0, description="bytes of one connection, both ways together")
    sandbox_mib: float = Field(8192, gt=0, description="bytes of one sandbox, both ways together")
    head_bytes: int = Field(16384, ge=1024, description="the head of one request")
    head_seconds: float = Field(10, gt=0, description="until the head of a request, or of a TLS tunnel, is there")
    resolve_seconds: float = Field(5, gt=0, description="until a name is resolved")
    connect_seconds: float = Field(10, gt=0, description="until an address answers")
    idle_seconds: float = Field(120, gt=0, description="a connection on which nothing moves")
    connection_seconds: float = Field(3600, gt=0, description="one connection")
    secret_body_bytes: int = Field(
        2**20, ge=1024, description="a body in which a secret's placeholder is replaced; none is in a longer one"
    )
    certificates: Path | None = Field(
        None, description="PEM file of authorities that hosts may have besides the system's, where secrets are put in"
    )
    told_refusals_per_minute: int = Field(60, ge=1, description="refusals journalled one by one; more as a number")

    @field_validator("private")
    @classmethod
    def _with_ports(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if parse_authority(entry)[1] is None:
                raise ValueError(f"{entry!r} names no port; write it as name:port")
        return entries

    @property
    def private_hosts(self) -> frozenset[tuple[str, int]]:
        """The same, in canonical form."""
        parsed = (parse_authority(entry) for entry in self.private)
        return frozenset((host, port) for host, port in parsed if port is not None)
