"""The production policy: Cedar. Rules are parsed once, who and what once per pair; a call adds only its own facts."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import Any

import cedarpy

from muxi_runtime.policy.contract import Access, Connection, Decision, Effect, Request, SecretUse, ToolCall
from muxi_runtime.policy.projection import UnreadableError, tool_annotations
from muxi_runtime.policy.questions import Questions, place
from muxi_runtime.policy.rules import DEFAULT_DENY, EVALUATION_ERROR, UNREADABLE, Rule, RuleSet, load_rules, schema
from muxi_runtime.policy.settings import PolicySettings
from muxi_runtime.policy.slices import Slices, tells_tasks_apart

__all__ = ["CedarPolicy"]

_KEYS = json.JSONEncoder(sort_keys=True)
_SHOWN = 300
_REMEMBERED = 4096


class CedarPolicy:
    """A `Policy`. Immutable: a change of the rules is a new one."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self._slices = Slices(rules)
        self._tells_tasks_apart = tells_tasks_apart(rules)
        self._questions = Questions(rules.reads)
        self._schema = schema()
        self._reads_arguments = bool(rules.reads)
        self._known: dict[Hashable, Decision] = {}
        self._decided: dict[tuple[bool, str, frozenset[str], str, Hashable], Decision] = {}

    @classmethod
    def load(cls, settings: PolicySettings) -> CedarPolicy:
        """From the files of the settings. Blocks.

        Raises:
            ConfigError: a file cannot be read, or a rule in it is wrong; names file, line and rule.
        """
        return cls(load_rules(settings.files))

    def decide(self, request: Request) -> Decision:
        """As `Policy.decide`."""
        try:
            if isinstance(request, ToolCall) and not self._reads_arguments and request.origins is None:
                return self._decide_alike(request)
            return self._decide(request)
        except UnreadableError as error:
            return _refused(
                UNREADABLE,
                f"The rules cannot read this {_noun(request)}: {error}.",
                "Send smaller or plainer arguments, or a file instead of its content.",
            )
        except Exception as error:  # noqa: BLE001 - the contract: whatever goes wrong in here is a denial
            return _failed(request, [f"{type(error).__name__}: {error}"])

    def _decide_alike(self, call: ToolCall) -> Decision:
        """Where no rule reads arguments, all calls of a tool by one caller in the same state are one question."""
        who, task = call.principal, call.task if self._tells_tasks_apart else ""
        hints = tuple(tool_annotations(call.annotations).values())
        caller = (who.user, who.key, who.role, who.groups, who.scopes)
        key = (caller, call.server, call.tool, task, call.built_in, call.labels, hints)
        decision = self._known.get(key)
        if decision is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            decision = self._known[key] = self._decide(call)
        return decision

    def _decide(self, request: Request) -> Decision:
        question = self._questions.about(request)
        resource = question.body["resource"]
        aspects = self._slices.aspects(question.body["action"]["id"], resource["type"], resource["id"], request.server)
        seen = aspects.of(question.tags) if aspects else None if question.tags else ()
        if seen is None:
            return self._evaluate(request, *question.whole())
        # Rules and entities do not change under one policy, so questions that rules cannot tell apart have one answer.
        who = request.principal
        key = (request.built_in, who.role, who.groups, self._key(question.body), seen)
        decision = self._decided.get(key)
        if decision is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            decision = self._decided[key] = self._evaluate(request, *question.whole())
        return decision

    def _key(self, question: dict[str, Any]) -> str:
        """One text for each question that rules can tell from others: most cannot tell tasks apart."""
        if not self._tells_tasks_apart:
            question = {**question, "context": {**question["context"], "task": ""}}
        return _KEYS.encode(question)

    def _policies(self, request: Request, question: dict[str, Any], *, permits_only: bool) -> cedarpy.PolicySet:
        resource = question["resource"]
        return self._slices.concerning(
            question["action"]["id"], resource["type"], resource["id"], request.server, permits_only=permits_only
        )

    def _evaluate(self, request: Request, question: dict[str, Any], entities: cedarpy.Entities) -> Decision:
        policies = self._policies(request, question, permits_only=False)
        answer = cedarpy.is_authorized(question, policies, entities, self._schema)
        if answer.diagnostics.errors:
            # Cedar leaves a rule that fails out; a forbid that fails would thereby allow.
            return _failed(request, answer.diagnostics.errors)
        took_part = self._in_order(answer.diagnostics.reasons)
        if answer.decision is cedarpy.Decision.Allow:
            return _decision(request, Effect.ALLOW, took_part)
        refusals = [rule for rule in took_part if not rule.asks]
        if answer.decision is not cedarpy.Decision.Deny or not took_part:
            return _default_deny(request)
        if refusals:
            return _decision(request, Effect.DENY, refusals, took_part)
        return self._asked(request, question, entities, took_part)

    def _asked(
        self, request: Request, question: dict[str, Any], entities: cedarpy.Entities, asking: Sequence[Rule]
    ) -> Decision:
        """A question is worth asking only where a permit stands behind it."""
        permits = self._policies(request, question, permits_only=True)
        answer = cedarpy.is_authorized(question, permits, entities, self._schema)
        if not answer.allowed or answer.diagnostics.errors:
            return _default_deny(request)
        return _decision(request, Effect.ASK, asking)

    def _in_order(self, names: Sequence[str]) -> list[Rule]:
        found = set(names)
        return [rule for rule in self.rules.rules.values() if rule.id in found]


def _decision(request: Request, effect: Effect, deciding: Sequence[Rule], took_part: Sequence[Rule] = ()) -> Decision:
    rule = deciding[0]
    verb = {Effect.ALLOW: "permits", Effect.ASK: "asks before", Effect.DENY: "forbids"}[effect]
    return Decision(
        effect=effect,
        rule=rule.id,
        reason=rule.reason or f"The rule at {rule.file}:{rule.line} {verb} this {_noun(request)}.",
        remedy="" if effect is Effect.ALLOW else rule.remedy or _remedy(request, effect, rule),
        rules=tuple(part.id for part in took_part or deciding),
        wording=RuleSet({part.id: part for part in deciding}).digest if effect is Effect.ASK else "",
    )


def _remedy(request: Request, effect: Effect, rule: Rule) -> str:
    if effect is Effect.ASK:
        return f"Approve this {_noun(request)}."
    return f"Change the rule at {rule.file}:{rule.line}, if you may."


def _noun(request: Request) -> str:
    if isinstance(request, Access):
        return "access"
    if isinstance(request, SecretUse):
        return "use of a secret"
    return "connection" if isinstance(request, Connection) else "call"


def _default_deny(request: Request) -> Decision:
    if isinstance(request, Connection):
        wanted = f"connect {request.server} to {place(request.host, request.port)}"
    elif isinstance(request, SecretUse):
        wanted = f"use the secret {request.name} of {request.server} for {place(request.host, request.port)}"
    elif isinstance(request, Access):
        wanted = f"access the {request.kind} {request.name} of {request.server}"
    else:
        wanted = f"call {request.server}.{request.tool}"
    return _refused(
        DEFAULT_DENY,
        f"No rule permits {request.principal.user} to {wanted[:_SHOWN]}.",
        "Add a permit to a policy file; `muxi-runtime policy explain` shows the facts that rules can use.",
    )


def _failed(request: Request, errors: Sequence[str]) -> Decision:
    return _refused(
        EVALUATION_ERROR,
        f"The rules could not be evaluated for this {_noun(request)}: {'; '.join(errors)[:_SHOWN]}.",
        "Correct the rule; `muxi-runtime policy check` and `policy explain` help to find it.",
    )


def _refused(rule: str, reason: str, remedy: str) -> Decision:
    return Decision(effect=Effect.DENY, rule=rule, reason=reason, remedy=remedy)
