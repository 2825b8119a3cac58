"""The production policy: Cedar. Rules are parsed once, who and what once per pair; a call adds only its own facts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cedarpy

from muxi_runtime.policy.contract import Decision, Effect, ToolCall
from muxi_runtime.policy.projection import UnreadableError, argument_tags, tool_annotations
from muxi_runtime.policy.rules import DEFAULT_DENY, EVALUATION_ERROR, UNREADABLE, Rule, RuleSet, load_rules, schema
from muxi_runtime.policy.settings import PolicySettings

__all__ = ["CedarPolicy"]

_PAIRS = 4096
"""Pairs of user and tool whose entities are kept parsed."""
_SHOWN = 300


class CedarPolicy:
    """A `Policy`. Immutable: a change of the rules is a new one."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self._policies = rules.policies()
        self._permits = rules.policies(permits_only=True)
        self._reads = sorted(rules.reads)
        self._schema = schema()
        self._entities = lru_cache(maxsize=_PAIRS)(_entities)

    @classmethod
    def load(cls, settings: PolicySettings) -> CedarPolicy:
        """From the files of the settings. Blocks.

        Raises:
            ConfigError: a file cannot be read, or a rule in it is wrong; names file, line and rule.
        """
        return cls(load_rules(settings.files))

    def decide(self, call: ToolCall) -> Decision:
        """As `Policy.decide`."""
        try:
            return self._decide(call)
        except UnreadableError as error:
            return _refused(
                UNREADABLE,
                f"The rules cannot read this call: {error}.",
                "Send smaller or plainer arguments, or a file instead of its content.",
            )
        except Exception as error:  # noqa: BLE001 - the contract: whatever goes wrong in here is a denial
            return _failed([f"{type(error).__name__}: {error}"])

    def _decide(self, call: ToolCall) -> Decision:
        request, entities = self._request(call)
        answer = cedarpy.is_authorized(request, self._policies, entities, self._schema)
        if answer.diagnostics.errors:
            # Cedar leaves a rule that fails out; a forbid that fails would thereby allow.
            return _failed(answer.diagnostics.errors)
        took_part = self._in_order(answer.diagnostics.reasons)
        if answer.decision is cedarpy.Decision.Allow:
            return _decision(Effect.ALLOW, took_part)
        refusals = [rule for rule in took_part if not rule.asks]
        if answer.decision is not cedarpy.Decision.Deny or not took_part:
            return _default_deny(call)
        if refusals:
            return _decision(Effect.DENY, refusals, took_part)
        return self._asked(call, request, entities, took_part)

    def _asked(
        self, call: ToolCall, request: dict[str, Any], entities: cedarpy.Entities, asking: Sequence[Rule]
    ) -> Decision:
        """A question is worth asking only where a permit stands behind it."""
        answer = cedarpy.is_authorized(request, self._permits, entities, self._schema)
        if not answer.allowed or answer.diagnostics.errors:
            return _default_deny(call)
        return _decision(Effect.ASK, asking)

    def _request(self, call: ToolCall) -> tuple[dict[str, Any], cedarpy.Entities]:
        if "." in call.server:
            raise UnreadableError("a server's name holds no dot")
        entities = self._entities(call.principal.user, call.server, call.tool, call.built_in)
        arguments = {"type": "Arguments", "id": "none"}
        tags = argument_tags(call.arguments, self._reads)
        if tags:
            arguments = {"type": "Arguments", "id": "call"}
            delta = {"uid": arguments, "attrs": {}, "parents": [], "tags": tags}
            entities = entities.with_added_json_str(json.dumps([delta]))
        context: dict[str, Any] = {
            "annotations": tool_annotations(call.annotations),
            "arguments": {"__entity": arguments},
            "labels": sorted(call.labels),
            "task": call.task,
        }
        if call.principal.key is not None:
            context["key"] = call.principal.key
        request = {
            "principal": {"type": "User", "id": call.principal.user},
            "action": {"type": "Action", "id": "call_tool"},
            "resource": {"type": "Tool", "id": f"{call.server}.{call.tool}"},
            "context": context,
        }
        return request, entities

    def _in_order(self, names: Sequence[str]) -> list[Rule]:
        found = set(names)
        return [rule for rule in self.rules.rules.values() if rule.id in found]


def _entities(user: str, server: str, tool: str, built_in: bool) -> cedarpy.Entities:  # noqa: FBT001 - a cache's key
    of_server = {"type": "Server", "id": server}
    tool_attributes = {"name": tool, "server": server, "built_in": built_in}
    entities = [
        {"uid": {"type": "User", "id": user}, "attrs": {}, "parents": []},
        {"uid": of_server, "attrs": {"built_in": built_in}, "parents": []},
        {"uid": {"type": "Tool", "id": f"{server}.{tool}"}, "attrs": tool_attributes, "parents": [of_server]},
        {"uid": {"type": "Arguments", "id": "none"}, "attrs": {}, "parents": []},
    ]
    return cedarpy.Entities.from_json_str(json.dumps(entities), schema())


def _decision(effect: Effect, deciding: Sequence[Rule], took_part: Sequence[Rule] = ()) -> Decision:
    rule = deciding[0]
    verb = {Effect.ALLOW: "permits", Effect.ASK: "asks before", Effect.DENY: "forbids"}[effect]
    return Decision(
        effect=effect,
        rule=rule.id,
        reason=rule.reason or f"The rule at {rule.file}:{rule.line} {verb} this call.",
        remedy="" if effect is Effect.ALLOW else rule.remedy or _remedy(effect, rule),
        rules=tuple(part.id for part in took_part or deciding),
    )


def _remedy(effect: Effect, rule: Rule) -> str:
    if effect is Effect.ASK:
        return "Approve this call."
    return f"Change the rule at {rule.file}:{rule.line}, if you may."


def _default_deny(call: ToolCall) -> Decision:
    name = f"{call.server}.{call.tool}"[:_SHOWN]
    return _refused(
        DEFAULT_DENY,
        f"No rule permits {call.principal.user} to call {name}.",
        "Add a permit to a policy file; `muxi-runtime policy explain` shows the facts that rules can use.",
    )


def _failed(errors: Sequence[str]) -> Decision:
    return _refused(
        EVALUATION_ERROR,
        f"The rules could not be evaluated for this call: {'; '.join(errors)[:_SHOWN]}.",
        "Correct the rule; `muxi-runtime policy check` and `policy explain` help to find it.",
    )


def _refused(rule: str, reason: str, remedy: str) -> Decision:
    return Decision(effect=Effect.DENY, rule=rule, reason=reason, remedy=remedy)
