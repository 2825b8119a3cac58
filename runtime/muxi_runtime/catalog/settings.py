"""Settings of the servers: the `servers:` section of muxi.yaml, one entry a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from muxi_runtime.catalog.labels import LabelOverrides
from muxi_runtime.catalog.pool_size import PoolSize
from muxi_runtime.catalog.remote_oauth import RemoteOAuth
from muxi_runtime.catalog.results import ResultOverrides
from muxi_runtime.catalog.secret_profile import SecretProfile

__all__ = ["NetworkSettings", "PoolSize", "RemoteAuth", "ServerSettings"]

NAME = r"^[A-Z][A-Z0-9_]{0,63}$"
"""Of a secret."""
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_NOT_FREE = frozenset(
    {"host", "connection", "content-length", "content-type", "transfer-encoding", "accept", "te", "upgrade", "cookie"}
)


class NetworkSettings(BaseModel):
    """Where the operator lets a server connect to, whatever its manifest asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: tuple[str, ...] = Field((), description="hosts, in place of the manifest's; empty: none at all")


def _checked_header(name: str) -> str:
    if not _HEADER.fullmatch(name) or name.lower() in _NOT_FREE or name.lower().startswith("mcp-"):
        raise ValueError("must be the name of a header that HTTP and MCP do not use for themselves")
    return name


def _checked_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("must be printable ASCII, without spaces around it, and not empty")
    return value


HeaderValue = Annotated[SecretStr, AfterValidator(_checked_value)]


class RemoteAuth(BaseModel):
    """What the runtime shows to a server elsewhere. What clients show to the runtime is never sent on."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    header: Annotated[str, AfterValidator(_checked_header)] = Field(
        "Authorization", description="the header that it goes in"
    )
    value: HeaderValue | None = Field(None, description="for every user that has none below, and to list its tools")
    users: dict[str, HeaderValue] = Field(default_factory=dict, description="each user's own, by name")
    secret: str | None = Field(
        None, pattern=NAME, description="in place of `value`: the name of a secret that holds it"
    )
    user_secrets: dict[str, Annotated[str, Field(pattern=NAME)]] = Field(
        default_factory=dict, description="in place of `users`: the name of each user's own secret"
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z]*$")] = Field(
        "Bearer", description="what stands before a secret's value and a space; empty: nothing"
    )
    oauth: RemoteOAuth | None = Field(
        None, description="in place of all of these, for a server that wants a login; absent: as it is found"
    )

    @model_validator(mode="after")
    def _say_each_once(self) -> Self:
        if self.value is not None and self.secret is not None:
            raise ValueError("give either `value` or `secret`")
        if twice := sorted(self.users.keys() & self.user_secrets.keys()):
            raise ValueError(f"{twice[0]!r} is in `users` and in `user_secrets`")
        if self.oauth is not None and len(self.model_fields_set) > 1:
            raise ValueError("`oauth` stands alone: what is shown then are tokens of a login")
        return self


class ServerSettings(BaseModel):
    """What the operator says of one server: switch it, point to a manifest of one's own, set limits and hosts.

    `limits` replaces single limits, whatever class and manifest say: the operator may raise and lower. `environment`
    replaces single variables. `network` replaces all that the manifest asks for. `secrets` replaces what it asks for of
    each secret that is named here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="whether it is offered")
    pins: bool = Field(
        default=True, description="false: its tools may change without being accepted anew, as while it is developed"
    )
    manifest: Path | None = Field(None, description="a manifest.yaml; without it the name is a built-in server's")
    labels: LabelOverrides = Field(default_factory=LabelOverrides)
    results: ResultOverrides = Field(default_factory=ResultOverrides)
    environment: dict[str, str] = Field(
        default_factory=dict, description="variables over the manifest's; of a built-in server those that it names"
    )
    network: NetworkSettings | None = Field(None, description="absent: what the manifest asks for")
    secrets: dict[str, SecretProfile] = Field(
        default_factory=dict, description="by name, in place of the manifest's; without hosts it goes nowhere"
    )
    limits_class: str | None = Field(None, description="in place of the manifest's")
    limits: dict[str, float] = Field(default_factory=dict, description="single limits to replace")
    pool: PoolSize = Field(default_factory=PoolSize)
    auth: RemoteAuth | None = Field(None, description="of a server elsewhere")
