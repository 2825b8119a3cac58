"""`policy test`: a file of cases, each a call or a connection and what the policy must say of it.

cases:
  - name: nobody deletes by shell
    tool: shell.run
    built_in: true
    arguments: {command: rm -rf /workspace}
    expect: deny
    rule: no-deletes
  - name: nor does it fetch
    server: shell
    connect: example.com:443
    expect: deny
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from muxi_runtime.identity.principal import LOCAL_USER, Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.policy.contract import Connection, Decision, Effect, Policy, Request, ToolCall
from muxi_runtime.policy.provenance import Origin
from muxi_runtime.yaml_model import load_yaml_model
from muxi_sandbox.egress.names import parse_authority

__all__ = ["Case", "CaseResult", "load_cases", "run_cases"]


class Case(BaseModel):
    """One call, or one connection, and the decision that is right for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="what it shows")
    user: str = Field(LOCAL_USER, description="who calls")
    key: str | None = Field(None, description="the public id of the key used")
    role: Role | None = Field(None, description="the user's; without it owner for `local`, user for others")
    groups: frozenset[str] = Field(frozenset(), description="the user's")
    scopes: frozenset[str] | None = Field(None, description="of the key or token; without it, all")
    tool: str | None = Field(None, pattern=r"^[a-z][a-z0-9-]{0,31}\..+$", description="a call: SERVER.TOOL")
    connect: str | None = Field(None, description="a connection: HOST:PORT")
    server: str | None = Field(None, pattern=r"^[a-z][a-z0-9-]{0,31}$", description="whose sandbox connects")
    scheme: Literal["connect", "http"] = Field("connect", description="of a connection: a tunnel, or a plain request")
    built_in: bool = Field(default=False, description="whether the server comes with this runtime")
    task: str = "t-1"
    arguments: dict[str, Any] = Field(default_factory=dict)
    annotations: dict[str, Any] = Field(default_factory=dict, description="as in MCP: readOnlyHint, ...")
    labels: tuple[str, ...] = Field((), description="what the task has seen: private, untrusted")
    origins: dict[str, Origin] | None = Field(None, description="where arguments' values come from, if that is known")
    expect: Effect
    rule: str | None = Field(None, description="the rule that must decide; without it any may")

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        if (self.tool is None) is (self.connect is None) or (self.connect is None) is not (self.server is None):
            raise ValueError("give either `tool`, or `server` and `connect`")
        if self.connect is not None and parse_authority(self.connect)[1] is None:
            raise ValueError("`connect` needs a port, as in example.org:443")
        return self

    def request(self) -> Request:
        """What is decided about."""
        role = self.role or (Role.OWNER if self.user == LOCAL_USER else Role.USER)
        principal = Principal(self.user, self.key, role, self.groups, self.scopes)
        labels = frozenset(self.labels)
        if self.tool is None:
            host, port = parse_authority(self.connect or "")
            return Connection(
                principal, self.server or "", host, port or 0, self.task, self.scheme, self.built_in, labels
            )
        server, _, tool = self.tool.partition(".")
        return ToolCall(
            principal=principal,
            server=server,
            tool=tool,
            task=self.task,
            arguments=self.arguments,
            annotations=self.annotations,
            built_in=self.built_in,
            labels=labels,
            origins=self.origins,
        )


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: tuple[Case, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What the policy said of a case."""

    case: Case
    decision: Decision

    @property
    def passed(self) -> bool:
        """Whether it said what was expected."""
        return self.decision.effect is self.case.expect and self.case.rule in {None, self.decision.rule}


def load_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a YAML file.

    Raises:
        ConfigError: it cannot be read or a case is wrong; names file, line and field.
    """
    return load_yaml_model(path, _File).cases


def run_cases(policy: Policy, cases: tuple[Case, ...]) -> list[CaseResult]:
    """Decide each."""
    return [CaseResult(case, policy.decide(case.request())) for case in cases]
