"""`policy explain`: which rules decided a call, from which facts, and which single change would decide it otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from muxi_runtime.identity.principal import LOCAL_USER, Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Decision, Effect, ToolCall
from muxi_runtime.policy.projection import UnreadableError, argument_tags, tool_annotations
from muxi_runtime.policy.rules import Rule

__all__ = ["Change", "Explanation", "explain"]

_HINTS = {
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}
_LABELS = ("private", "untrusted")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that, if it were otherwise, would change the answer."""

    what: str
    effect: Effect
    rule: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a call is decided as it is.

    Attributes:
        rules: those that took part, the deciding one first.
        facts: what the rules could see.
        changes: single changes of facts or rules that change the effect.
    """

    decision: Decision
    rules: tuple[Rule, ...]
    facts: Mapping[str, Any]
    changes: tuple[Change, ...]


def explain(policy: CedarPolicy, call: ToolCall) -> Explanation:
    """Decide the call, and then again with one thing changed at a time."""
    decision = policy.decide(call)
    names = dict.fromkeys((decision.rule, *decision.rules))
    rules = tuple(policy.rules.rules[name] for name in names if name in policy.rules.rules)
    changes = [*_fact_changes(policy, call, decision), *_rule_changes(policy, call, decision)]
    return Explanation(decision, rules, _facts(policy, call), tuple(changes))


def _facts(policy: CedarPolicy, call: ToolCall) -> dict[str, Any]:
    try:
        arguments = {name: tag["text"] for name, tag in argument_tags(call.arguments, policy.rules.reads).items()}
    except UnreadableError as error:
        arguments = {"(unreadable)": str(error)}
    return {
        "principal": str(call.principal),
        "tool": f"{call.server}.{call.tool}",
        "built_in": call.built_in,
        "task": call.task,
        "annotations": tool_annotations(call.annotations),
        "labels": sorted(call.labels),
        "arguments that rules read": arguments,
    }


def _fact_changes(policy: CedarPolicy, call: ToolCall, decision: Decision) -> Iterator[Change]:
    for what, other in _others(policy, call):
        answer = policy.decide(other)
        if answer.effect is not decision.effect:
            yield Change(what, answer.effect, answer.rule)


def _rule_changes(policy: CedarPolicy, call: ToolCall, decision: Decision) -> Iterator[Change]:
    for name in decision.rules:
        answer = CedarPolicy(policy.rules.without(name)).decide(call)
        if answer.effect is not decision.effect:
            yield Change(f"without the rule {name!r}", answer.effect, answer.rule)


def _others(policy: CedarPolicy, call: ToolCall) -> Iterator[tuple[str, ToolCall]]:
    """The same call with one fact changed."""
    hints = tool_annotations(call.annotations)
    for ours, mcp in _HINTS.items():
        flipped = not hints[ours]
        changed = {**call.annotations, mcp: flipped}
        yield f"if the tool said {mcp}: {str(flipped).lower()}", replace(call, annotations=changed)
    for label in _LABELS:
        verb = "had not" if label in call.labels else "had"
        yield f"if the task {verb} seen {label} content", replace(call, labels=call.labels ^ {label})
    if not call.labels:
        both = frozenset(_LABELS)
        yield "if the task had seen private and untrusted content", replace(call, labels=both)
    verb = "did not come" if call.built_in else "came"
    yield f"if the server {verb} with this runtime", replace(call, built_in=not call.built_in)
    if call.principal.user != LOCAL_USER:
        yield f"if {LOCAL_USER} called it", replace(call, principal=Principal())
    for name in sorted(policy.rules.reads & call.arguments.keys()):
        fewer = {key: value for key, value in call.arguments.items() if key != name}
        yield f"without the argument {name!r}", replace(call, arguments=fewer)
