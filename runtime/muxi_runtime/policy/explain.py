"""`policy explain`: which rules decided a request, from which facts, and what change would decide it otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from muxi_runtime.identity.principal import LOCAL, LOCAL_USER
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Access, Connection, Decision, Effect, Request, SecretUse, ToolCall
from muxi_runtime.policy.projection import UnreadableError, argument_tags, tool_annotations
from muxi_runtime.policy.provenance import Origin
from muxi_runtime.policy.questions import place
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
    """Why a request is decided as it is.

    Attributes:
        rules: those that took part, the deciding one first.
        facts: what the rules could see.
        changes: single changes of facts or rules that change the effect.
    """

    decision: Decision
    rules: tuple[Rule, ...]
    facts: Mapping[str, Any]
    changes: tuple[Change, ...]


def explain(policy: CedarPolicy, request: Request) -> Explanation:
    """Decide the request, and then again with one thing changed at a time."""
    decision = policy.decide(request)
    names = dict.fromkeys((decision.rule, *decision.rules))
    rules = tuple(policy.rules.rules[name] for name in names if name in policy.rules.rules)
    changes = [*_fact_changes(policy, request, decision), *_rule_changes(policy, request, decision)]
    return Explanation(decision, rules, _facts(policy, request), tuple(changes))


def _facts(policy: CedarPolicy, request: Request) -> dict[str, Any]:
    known = {"principal": str(request.principal), "built_in": request.built_in, "task": request.task}
    known |= {"role": request.principal.role, "groups": sorted(request.principal.groups)}
    known |= {"labels": sorted(request.labels)}
    if isinstance(request, Connection):
        host = place(request.host, request.port)
        return known | {"server": request.server, "host": host, "scheme": request.scheme}
    if isinstance(request, SecretUse):
        host = place(request.host, request.port)
        return known | {"server": request.server, "secret": request.name, "host": host}
    if isinstance(request, Access):
        return known | {request.kind: f"{request.server}.{request.name}"}
    return known | {
        "tool": f"{request.server}.{request.tool}",
        "annotations": tool_annotations(request.annotations),
        "arguments that rules read": _arguments(policy, request),
        "origins": "not known" if request.origins is None else dict(request.origins),
    }


def _arguments(policy: CedarPolicy, call: ToolCall) -> dict[str, str]:
    try:
        return {name: tag["text"] for name, tag in argument_tags(call.arguments, policy.rules.reads).items()}
    except UnreadableError as error:
        return {"(unreadable)": str(error)}


def _fact_changes(policy: CedarPolicy, request: Request, decision: Decision) -> Iterator[Change]:
    for what, other in _others(policy, request):
        answer = policy.decide(other)
        if answer.effect is not decision.effect:
            yield Change(what, answer.effect, answer.rule)


def _rule_changes(policy: CedarPolicy, request: Request, decision: Decision) -> Iterator[Change]:
    for name in decision.rules:
        answer = CedarPolicy(policy.rules.without(name)).decide(request)
        if answer.effect is not decision.effect:
            yield Change(f"without the rule {name!r}", answer.effect, answer.rule)


def _others(policy: CedarPolicy, request: Request) -> Iterator[tuple[str, Request]]:
    """The same request with one fact changed."""
    if isinstance(request, ToolCall):
        yield from _other_hints(request)
    elif isinstance(request, Connection):
        other = "http" if request.scheme == "connect" else "connect"
        yield f"if the scheme were {other}", replace(request, scheme=other)
    for label in _LABELS:
        verb = "had not" if label in request.labels else "had"
        yield f"if the task {verb} seen {label} content", replace(request, labels=request.labels ^ {label})
    if not request.labels:
        both = frozenset(_LABELS)
        yield "if the task had seen private and untrusted content", replace(request, labels=both)
    verb = "did not come" if request.built_in else "came"
    yield f"if the server {verb} with this runtime", replace(request, built_in=not request.built_in)
    if request.principal.user != LOCAL_USER:
        yield f"if {LOCAL_USER} called it", replace(request, principal=LOCAL)
    if isinstance(request, ToolCall):
        yield from _other_arguments(policy, request)


def _other_hints(call: ToolCall) -> Iterator[tuple[str, ToolCall]]:
    hints = tool_annotations(call.annotations)
    for ours, mcp in _HINTS.items():
        flipped = not hints[ours]
        changed = {**call.annotations, mcp: flipped}
        yield f"if the tool said {mcp}: {str(flipped).lower()}", replace(call, annotations=changed)


def _other_arguments(policy: CedarPolicy, call: ToolCall) -> Iterator[tuple[str, ToolCall]]:
    if call.arguments:
        named: dict[str, Origin] = dict.fromkeys(call.origins or call.arguments, "user")
        yield "if the user had named every value", replace(call, origins=named)
    for name in sorted(policy.rules.reads & call.arguments.keys()):
        fewer = {key: value for key, value in call.arguments.items() if key != name}
        yield f"without the argument {name!r}", replace(call, arguments=fewer)
