"""Labels: what a task has seen. Who may say which results carry one: the manifest, and over it the operator.

    labels:                       # in a manifest: what the server says of its own results
      all: [private]
      tools: {search_web: [untrusted]}
      origins: {list_mails: sender}   # a field of each record; whom to trust is the operator's to say

`private` is data that must not get out; `untrusted` is content that strangers may have written, instructions among it.
"""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator

from muxi_sandbox.egress.names import parse_rule

__all__ = ["Label", "LabelOverrides", "LabelSettings", "ServerLabels", "origin_pattern", "path_pattern"]


class Label(StrEnum):
    """What a task has seen."""

    PRIVATE = "private"
    UNTRUSTED = "untrusted"


class ServerLabels(BaseModel):
    """What a manifest says of the server's results. It adds to what they carry anyway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    all: tuple[Label, ...] = Field((), description="what each of its results carries: private, untrusted")
    tools: dict[str, tuple[Label, ...]] = Field(default_factory=dict, description="what those of a tool carry besides")
    origins: dict[str, str] = Field(
        default_factory=dict,
        description="of a tool's structured results, the field that says where each record comes from, as the service "
        "itself has checked it",
    )


class LabelOverrides(BaseModel):
    """What the operator says of a server's results: it holds in place of all that manifest and defaults say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    all: tuple[Label, ...] | None = Field(
        None, description="what each of its results carries, whatever its manifest and the defaults say; empty: nothing"
    )
    tools: dict[str, tuple[Label, ...]] = Field(
        default_factory=dict, description="the same for single tools, in place of `all` too"
    )


class LabelSettings(BaseModel):
    """The `labels:` section of muxi.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trusted_hosts: tuple[str, ...] = Field(
        (), description="hosts whose answers are not untrusted: a connection to any other makes the task that"
    )
    private_hosts: tuple[str, ...] = Field((), description="hosts whose answers are private")
    trusted_origins: tuple[str, ...] = Field(
        (), description="origins of records that are not untrusted, as *@example.com or https://docs.example.com/**"
    )
    private_paths: tuple[str, ...] = Field(
        (),
        description="paths in the workspace, as customers/**: a call that names one, or whose result does, is private",
    )

    @field_validator("trusted_hosts", "private_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            try:
                parse_rule(host)
            except ValueError as error:
                raise ValueError(f"{host!r} is no host: {error}") from error
        return hosts

    @field_validator("trusted_hosts")
    @classmethod
    def _are_named(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if any(not parse_rule(host).host for host in hosts):
            raise ValueError("a star alone would trust whatever anybody writes: name the hosts")
        return hosts

    @field_validator("trusted_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.search(r"[^\W_]", origin) or re.search(r"\s", origin):
                raise ValueError(f"{origin!r} must name somebody, as *@example.com")
            if not origin.isascii():
                raise ValueError(
                    f"{origin!r} would match nothing: write it in ASCII, a host of other letters as xn--..."
                )
        return origins

    @field_validator("private_paths")
    @classmethod
    def _are_paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if path.startswith("/") or not path.strip("*/?"):
                raise ValueError(f"{path!r} must be below the workspace and name something, as customers/**")
        return paths


def origin_pattern(origin: str) -> str:
    """A regular expression for the whole of an origin: `**` is anything, `*` stays in one part of an address or link.

    Neither goes over what separates two addresses, so that a second one cannot stand beside a trusted one.
    """
    parts = {"**": r"[^\s\"'<>,;@]*", "*": r"[^\s\"'<>,;@/?#:\\]*"}
    return "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", origin))


def path_pattern(path: str) -> str:
    """A regular expression for where a text names a path like this: `**` is any depth, `*` and `?` stay in a folder."""
    parts = {"**": r"[^\s\"']*", "*": r"[^\s\"'/]*", "?": r"[^\s\"'/]"}
    body = "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", path))
    return rf"(?<![\w.-]){body}(?![\w-])"
