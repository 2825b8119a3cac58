"""A server's manifest, `manifest.yaml`: how it starts, what it may do, how long its sandbox lives.

    name: code
    title: Code
    description: Run Python, Bash and JavaScript.
    image: build:code
    command: [python3, -I, -m, muxi_servers.code]
    profile:
      workspace: write
      limits: {memory_mib: 1024}

A server that is not in a sandbox, but reached over streamable HTTP by the host, has a `url` in place of all that:

    name: tickets
    url: https://tickets.example.com/mcp

A manifest only ever asks. What it asks for is narrowed by the operator's settings, and none of its fields
reaches the engine as an option.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from muxi_runtime.catalog.labels import ServerLabels
from muxi_runtime.catalog.pool_size import PoolSize
from muxi_runtime.catalog.secret_profile import SecretProfile
from muxi_sandbox.contract import Limits, WorkspaceAccess

__all__ = ["Install", "Manifest", "NetworkProfile", "Profile", "Scope"]


class Scope(StrEnum):
    """Whose sandbox it is."""

    TASK = "task"
    SHARED = "shared"


class NetworkProfile(BaseModel):
    """Hosts that the sandbox may connect to; empty means none at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: tuple[str, ...] = Field((), description="hosts that it needs to reach; the operator has the last word")


class Profile(BaseModel):
    """What a sandbox of this server gets. The default is nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workspace: WorkspaceAccess = Field(
        WorkspaceAccess.NONE, description="none, read or write: the task's files, at /workspace"
    )
    network: NetworkProfile = Field(default_factory=NetworkProfile)
    secrets: dict[str, SecretProfile] = Field(
        default_factory=dict, description="secrets that it needs, by name; the operator has the last word"
    )
    limits_class: str = Field("small", description="small, code, browser, or one of the operator's")
    limits: Limits = Field(default_factory=Limits, description="single limits, lower than those of the class")
    seccomp: Literal["default", "browser"] = Field(
        "default", description="browser: it may make user namespaces, as a browser does for its own sandbox"
    )
    runtime: str | None = Field(None, exclude=True, description="set by the operator's limits class, never by a file")
    scope: Scope = Field(Scope.TASK, description="a sandbox a task; shared is not available yet")


class Install(BaseModel):
    """How a server became an image: `muxi-runtime servers add` writes it, `servers update` reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(description="where it comes from, at the version that was installed")
    constraints: tuple[str, ...] = Field((), description="of Python packages that it needs, as `mcp<2`")
    debian: tuple[str, ...] = Field((), description="Debian packages that its image has besides")
    node: str = Field("", description="major version of Node.js; empty: the image's own")
    python: str = Field("", description="version of Python, as 3.11; empty: the image's own")
    program: str = Field("", description="which of the package's programs; empty: the only one, or its namesake")
    server: str = Field("", description="where the requests of an OpenAPI document go; empty: where it says")
    operations: tuple[str, ...] = Field((), description="which of its operations become tools, as patterns; empty: all")


class Manifest(BaseModel):
    """One server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="prefix of its tools' names")
    title: str = Field("", description="for people")
    description: str = Field("", description="for people: what it is good for")
    image: str = Field(
        "",
        max_length=500,
        description="`build:NAME` for an image of this project, else a reference that the engine has",
    )
    url: str = Field(
        "", max_length=500, description="http or https, in place of `image`: a server elsewhere, not in a sandbox"
    )
    command: tuple[str, ...] = Field((), description="empty: the image's own")
    arguments: tuple[str, ...] = Field((), description="given to the command after its own")
    install: Install | None = Field(None, description="for servers that were added; absent for others")
    init: bool = Field(default=True, description="false: the program is process 1 itself, and reaps what is orphaned")
    warm: bool = Field(
        default=False,
        description="true: it opens /workspace anew for each call, so it may run before the task's files are there",
    )
    pause: bool = Field(default=True, description="false: programs run between calls, so it is never paused")
    environment: dict[str, str] = Field(default_factory=dict, description="no secrets")
    profile: Profile = Field(default_factory=Profile)
    labels: ServerLabels = Field(default_factory=ServerLabels)
    pool: PoolSize = Field(
        default_factory=PoolSize,
        description="sandboxes held ready, where the operator says nothing; of built-in servers only",
    )
    built_in: bool = Field(default=False, exclude=True, description="set by the catalog, never by a file")
    as_shipped: bool = Field(
        default=False,
        exclude=True,
        description="set by the catalog: built in, and it lists the tools that it ships with",
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be a whole URL of http or https, like https://example.com/mcp")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user and no password")
        if parts.fragment:
            raise ValueError("must have no fragment")
        return url

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if bool(self.image) == bool(self.url):
            raise ValueError("exactly one of `image` and `url` must be given")
        return self

    @property
    def is_remote(self) -> bool:
        """Whether it runs elsewhere, in no sandbox of ours."""
        return bool(self.url)
