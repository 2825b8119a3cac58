"""`policy test`: a file of cases, each a call and what the policy must say of it.

cases:
  - name: nobody deletes by shell
    tool: shell.run
    built_in: true
    arguments: {command: rm -rf /workspace}
    expect: deny
    rule: no-deletes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from muxi_runtime.identity.principal import LOCAL_USER, Principal
from muxi_runtime.policy.contract import Decision, Effect, Policy, ToolCall
from muxi_runtime.yaml_model import load_yaml_model

__all__ = ["Case", "CaseResult", "load_cases", "run_cases"]


class Case(BaseModel):
    """One call and the decision that is right for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="what it shows")
    user: str = Field(LOCAL_USER, description="who calls")
    key: str | None = Field(None, description="the public id of the key used")
    tool: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}\..+$", description="SERVER.TOOL")
    built_in: bool = Field(default=False, description="whether the server comes with this runtime")
    task: str = "t-1"
    arguments: dict[str, Any] = Field(default_factory=dict)
    annotations: dict[str, Any] = Field(default_factory=dict, description="as in MCP: readOnlyHint, ...")
    labels: tuple[str, ...] = Field((), description="what the task has seen: private, untrusted")
    expect: Effect
    rule: str | None = Field(None, description="the rule that must decide; without it any may")

    def call(self) -> ToolCall:
        """The request."""
        server, _, tool = self.tool.partition(".")
        return ToolCall(
            principal=Principal(user=self.user, key=self.key),
            server=server,
            tool=tool,
            task=self.task,
            arguments=self.arguments,
            annotations=self.annotations,
            built_in=self.built_in,
            labels=frozenset(self.labels),
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
    return [CaseResult(case, policy.decide(case.call())) for case in cases]
