"""Which rules a question concerns, by their heads: Cedar looks at every rule that it is given, one after the other.

A rule whose head names another action, or another tool or server than the question, cannot take part in its answer; to
leave it out changes nothing but the time. What a head says in another way is kept and left to Cedar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import cedarpy

from muxi_runtime.policy.aspects import Aspects, aspects_of
from muxi_runtime.policy.rules import Rule, RuleSet

__all__ = ["Slices", "tells_tasks_apart"]

_KEPT = 4096
"""Questions of a kind, and sets of rules, that are remembered."""

Json = Mapping[str, Any]


class Slices:
    """The rules of a set, parsed, by what they concern."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._parsed = lru_cache(maxsize=_KEPT)(self._parse)
        self._seen = lru_cache(maxsize=_KEPT)(self._see)
        self._names = lru_cache(maxsize=_KEPT)(self._concerned)
        self.concerning = lru_cache(maxsize=_KEPT)(self._concerning)
        self.aspects = lru_cache(maxsize=_KEPT)(self._aspects)

    def _concerning(self, action: str, kind: str, name: str, server: str, *, permits_only: bool) -> cedarpy.PolicySet:
        """The rules that a question of this action about this resource (its type and id) in this server concerns."""
        names = self._names(action, kind, name, server)
        return self._parsed(tuple(one for one in names if self._rules.rules[one].permits or not permits_only))

    def _aspects(self, action: str, kind: str, name: str, server: str) -> Aspects | None:
        """What these rules can tell of a call's arguments; `None` where that is not known."""
        return self._seen(self._names(action, kind, name, server))

    def _concerned(self, action: str, kind: str, name: str, server: str) -> tuple[str, ...]:
        rules = self._rules.rules.values()
        return tuple(rule.id for rule in rules if _concerns(rule, action, kind, name, server))

    def _see(self, names: tuple[str, ...]) -> Aspects | None:
        return aspects_of(self._rules.rules[name] for name in names)

    def _parse(self, names: tuple[str, ...]) -> cedarpy.PolicySet:
        return RuleSet({name: self._rules.rules[name] for name in names}).policies()


def tells_tasks_apart(rules: RuleSet) -> bool:
    """Whether any rule looks at `context.task`, or at the context as a whole."""
    return any(map(_looks_at_task, (rule.body for rule in rules.rules.values())))


def _concerns(rule: Rule, action: str, kind: str, name: str, server: str) -> bool:
    head = rule.body["action"]
    # Only a plain name is judged: actions may come to be in groups.
    if head["op"] == "==" and not _may_be(head, {("Action", action)}, {"Action"}):
        return False
    return _may_be(rule.body["resource"], {(kind, name), ("Server", server)}, {kind, "Server"})


def _may_be(head: Json, those: set[tuple[str, str]], types: set[str]) -> bool:
    """Whether a part of a head may hold for an entity that is, or is in, one of those. Judges only what it knows."""
    if head["op"] not in {"==", "in"}:
        return True
    entities = head.get("entities") or [head.get("entity") or {}]
    return any(
        entity.get("type") not in types or (entity.get("type"), entity.get("id")) in those for entity in entities
    )


def _looks_at_task(node: object) -> bool:
    for part, parent in _nodes(node):
        if part != {"Var": "context"}:
            continue
        attribute = parent["attr"] if parent else None
        if not isinstance(attribute, str) or attribute == "task":
            return True
    return False


def _nodes(value: object) -> Iterator[tuple[Json, Json | None]]:
    """Every JSON object in a value, with the one that reads an attribute of it, if one does."""
    waiting: list[tuple[object, Json | None]] = [(value, None)]
    while waiting:
        node, parent = waiting.pop()
        if isinstance(node, list):
            waiting += [(item, None) for item in node]
        elif isinstance(node, dict):
            yield node, parent
            waiting += [(item, node if key == "left" and "attr" in node else None) for key, item in node.items()]
