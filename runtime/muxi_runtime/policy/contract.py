"""The seam between the ways out of the runtime and whatever decides.

Above it: `gateway.call`, which asks before each call, and `gateway.egress`, which asks before each connection of a
sandbox. Below it: `cedar.CedarPolicy` (production). There is no
allow-all double: a test that wants one loads a one-line policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.provenance import Origin

__all__ = ["Access", "Connection", "Decision", "Effect", "Policy", "Request", "SecretUse", "ToolCall"]


class Effect(StrEnum):
    """What the policy says of a request."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One request: may `principal` call this tool with these arguments in this task?

    Attributes:
        server: the server's name in the catalog.
        tool: the tool's own name, without the server's.
        annotations: the tool's MCP annotations as they were accepted (`readOnlyHint`, ...): hints of the server's.
        arguments: the call's arguments, already valid against the input schema.
        built_in: whether the server is one that this project ships.
        labels: the task's labels (`private`, `untrusted`).
        origins: where the value of each argument comes from, by its path (`to`, `files/0`), as `provenance.Ledger`
            tells it; `None` if the user's words are not known.
    """

    principal: Principal
    server: str
    tool: str
    task: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, Any] = field(default_factory=dict)
    built_in: bool = False
    labels: frozenset[str] = frozenset()
    origins: Mapping[str, Origin] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """One request: may `principal` read this resource, or get this prompt, in this task?

    Attributes:
        kind: what is accessed. To subscribe to a resource, or to complete an argument of either, is to access it.
        name: the resource's URI or the prompt's own name.
        arguments: of a prompt.
        built_in: whether the server is one that this project ships.
        labels: the task's labels (`private`, `untrusted`).
        open_world: whether the server is elsewhere, so that asking tells it something.
    """

    principal: Principal
    server: str
    kind: Literal["resource", "prompt"]
    name: str
    task: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    built_in: bool = False
    labels: frozenset[str] = frozenset()
    open_world: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """One request: may this task's sandbox of this server connect to this host? Its profile lets it already.

    Attributes:
        principal: whose task it is.
        host: a canonical name, or an address.
        scheme: `http` for a plain request, `connect` for a tunnel.
        built_in: whether the server is one that this project ships.
        labels: the task's labels (`private`, `untrusted`).
    """

    principal: Principal
    server: str
    host: str
    port: int
    task: str
    scheme: str = "connect"
    built_in: bool = False
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SecretUse:
    """One request: may this secret's value go to this host, from this task's sandbox of this server?

    The connection was permitted already, and the server's profile names the host for the secret.

    Attributes:
        principal: whose task it is.
        name: of the secret.
        host: a canonical name, or an address.
        built_in: whether the server is one that this project ships.
        labels: the task's labels (`private`, `untrusted`).
    """

    principal: Principal
    server: str
    name: str
    host: str
    port: int
    task: str
    built_in: bool = False
    labels: frozenset[str] = frozenset()


Request: TypeAlias = ToolCall | Access | Connection | SecretUse
"""What is decided about."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, with what a person needs to understand it.

    Attributes:
        rule: the id of the rule that decided (`@id`), or `default-deny` where none permits.
        reason: a sentence: why.
        remedy: a sentence or command: what would change the answer; empty for `allow`.
        rules: all rules that took part, for `policy explain`.
        wording: of `ask`, tells the texts of the rules that ask from others: SHA-256, in hex.
    """

    effect: Effect
    rule: str
    reason: str
    remedy: str = ""
    rules: tuple[str, ...] = ()
    wording: str = ""


class Policy(Protocol):
    """Decides. Pure, fast (well under a millisecond) and without input or output."""

    def decide(self, request: Request) -> Decision:
        """The decision on one request; an error inside it is a denial (fail closed), never an exception."""
