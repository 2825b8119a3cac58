"""Leaving out rules that cannot take part changes no decision."""

from __future__ import annotations

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Access, Connection, Effect, ToolCall
from muxi_runtime.policy.rules import parse_rules
from muxi_runtime.policy.slices import Slices, tells_tasks_apart

ACTIONS = [
    "action",
    'action == Action::"call_tool"',
    'action in [Action::"call_tool", Action::"connect"]',
    'action == Action::"connect"',
    'action == Action::"read_resource"',
]
RESOURCES = [
    "resource",
    "resource is Tool",
    "resource is Host",
    'resource is Tool in Server::"mail"',
    'resource in Server::"mail"',
    'resource == Tool::"mail.send"',
    'resource == Tool::"mail.read"',
    'resource == Host::"example.org:443"',
    'resource == Resource::"mail.file:///a"',
]
PRINCIPALS = ["principal", "principal is User", 'principal == User::"ada"', 'principal == User::"bob"']
ADA = Principal("ada")
REQUESTS = [
    ToolCall(ADA, "mail", "send", "t-1"),
    ToolCall(ADA, "mail", "read", "t-1"),
    ToolCall(Principal("bob"), "files", "read", "t-1"),
    Connection(ADA, "mail", "example.org", 443, "t-1"),
    Access(ADA, "mail", "resource", "file:///a", "t-1"),
]
HEADS = st.tuples(
    st.sampled_from(["permit", "forbid", '@decision("ask") forbid']),
    st.sampled_from(PRINCIPALS),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
)


class _All(Slices):
    """Every rule for every question."""

    def __init__(self, rules):
        super().__init__(rules)
        whole, permits = rules.policies(), rules.policies(permits_only=True)
        self.concerning = lambda *_, permits_only: permits if permits_only else whole


def policy_of(heads):
    text = "\n".join(f'@id("r{n}") {effect} ({", ".join(parts)});' for n, (effect, *parts) in enumerate(heads))
    # Some heads fit no action of the schema (a Host is never called); such a rule is left out.
    rules, _ = parse_rules({"a.cedar": text})
    return rules


@settings(max_examples=150, deadline=None)
@given(st.lists(HEADS, min_size=1, max_size=6), st.sampled_from(REQUESTS))
def test_a_decision_is_the_same_as_with_all_rules(heads, request):
    rules = policy_of(heads)
    sliced, whole = CedarPolicy(rules), CedarPolicy(rules)
    whole._slices = _All(rules)  # noqa: SLF001 - the same policy, without what is tried here
    assert sliced.decide(request) == whole.decide(request)


def test_rules_about_other_tools_are_not_looked_at():
    rules = policy_of([("forbid", "principal", ACTIONS[1], f'resource == Tool::"mail.t{n}"') for n in range(9)])
    found = Slices(rules).concerning("call_tool", "Tool", "mail.t4", "mail", permits_only=False)
    assert isinstance(found, cedarpy.PolicySet)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("true", False),
        ('context.labels.contains("private")', False),
        ('context has origins && context.origins.contains("user")', False),
        ('context.task == "t-1"', True),
        ('context has key || context.task like "t-*"', True),
        ("context == context", True),
    ],
)
def test_rules_that_look_at_the_task_are_noticed(condition, expected):
    text = f'forbid (principal, action == Action::"call_tool", resource) when {{ {condition} }};'
    rules, problems = parse_rules({"a.cedar": text})
    assert not problems
    assert tells_tasks_apart(rules) is expected


def test_a_rule_about_one_task_holds_for_that_task_only():
    text = (
        "permit (principal, action, resource);\n"
        'forbid (principal, action == Action::"call_tool", resource) when { context.task == "t-2" };'
    )
    policy = CedarPolicy(parse_rules({"a.cedar": text})[0])
    effects = [policy.decide(ToolCall(ADA, "mail", "send", task)).effect for task in ("t-1", "t-2", "t-1")]
    assert effects == [Effect.ALLOW, Effect.DENY, Effect.ALLOW]
