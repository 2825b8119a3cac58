"""What stands before each call and behind it: nothing, or the policy and the guard of results as they ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from muxi_runtime.gateway.screening import screened
from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Effect, ToolCall
from muxi_runtime.policy.provenance import Ledger

__all__ = ["AllowAll", "Guarded", "Told", "Withheld", "told_tools"]

_FILE = Path(__file__).with_name("tools.yaml")
_HINTS = {
    "look": (True, False, False),
    "browse": (True, False, True),
    "add": (False, False, False),
    "change": (False, True, False),
    "reach": (False, False, True),
    "act": (False, True, True),
}
_USER = Principal("emma")


@dataclass(frozen=True)
class Told:
    """What the author of a tool says of it."""

    server: str
    annotations: Mapping[str, bool]
    labels: frozenset[str]
    records: frozenset[str]


def told_tools() -> dict[str, Told]:
    """By the tool's name."""
    servers = yaml.safe_load(_FILE.read_text(encoding="utf-8"))["tools"]
    return {tool: _told(server, said) for server, tools in servers.items() for tool, said in tools.items()}


def _told(server: str, said: Mapping[str, Any]) -> Told:
    names = ("readOnlyHint", "destructiveHint", "openWorldHint")
    labels = frozenset(label for label in ("private", "untrusted") if said.get(label))
    annotations = dict(zip(names, _HINTS[said["hints"]], strict=True))
    return Told(server, annotations, labels, frozenset(said.get("records", ())))


class AllowAll:
    """No policy."""

    def allows(self, _tool: str, _arguments: Mapping[str, Any], /) -> str:
        return ""

    def returned(self, _tool: str, result: Any, /) -> Any:
        return result


class Withheld:
    """What reads like orders is taken out of untrusted results; behind another gate."""

    def __init__(self, gate: AllowAll | Guarded, told: Mapping[str, Told]) -> None:
        self._gate = gate
        self._told = told

    def allows(self, tool: str, arguments: Mapping[str, Any]) -> str:
        return self._gate.allows(tool, arguments)

    def returned(self, tool: str, result: Any) -> Any:
        # The ledger of origins is told all, as in the gateway: what was taken out are a stranger's words, too.
        given = self._gate.returned(tool, result)
        if "untrusted" not in self._told[tool].labels:
            return given
        found = screened(given, lambda passage: f"[{len(passage)} characters are withheld]")
        return found.value if found.passages else given


class Guarded:
    """The policy before the calls of one task. A question counts as a refusal: nobody is there to answer it."""

    def __init__(
        self, policy: CedarPolicy, told: Mapping[str, Told], prompt: str, *, knows_user: bool = True, hidden: str = ""
    ) -> None:
        """`hidden`: text that the ledger does not get to see, as if it had come in a code that the model can read."""
        self._policy = policy
        self._hidden = " ".join(hidden.split())
        self._told = told
        self._labels: frozenset[str] = frozenset()
        self._ledger = Ledger() if knows_user else None
        if self._ledger:
            self._ledger.told_by_user(prompt)

    def allows(self, tool: str, arguments: Mapping[str, Any]) -> str:
        told = self._told[tool]
        origins = self._ledger.origins(arguments) if self._ledger else None
        call = ToolCall(
            principal=_USER,
            server=told.server,
            tool=tool,
            task="t-1",
            arguments=arguments,
            annotations=told.annotations,
            labels=self._labels,
            origins=origins,
        )
        decision = self._policy.decide(call)
        return "" if decision.effect is Effect.ALLOW else decision.rule

    def returned(self, tool: str, result: Any) -> Any:
        told = self._told[tool]
        self._labels |= told.labels
        if self._ledger:
            seen = _without(self._hidden, result) if self._hidden else result
            self._ledger.returned(
                seen, untrusted="untrusted" in told.labels, private="private" in told.labels, records=told.records
            )
        return result


def _without(hidden: str, value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split()).replace(hidden, "")
    if isinstance(value, Mapping):
        return {key: _without(hidden, item) for key, item in value.items()}
    return [_without(hidden, item) for item in value] if isinstance(value, list) else value
