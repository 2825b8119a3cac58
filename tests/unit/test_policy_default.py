"""What the shipped rules say, case by case."""

from __future__ import annotations

import pytest

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Effect, ToolCall
from muxi_runtime.policy.settings import PolicySettings

READ_ONLY = {"readOnlyHint": True}
HARMLESS = {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False}
BOTH = frozenset({"private", "untrusted"})


@pytest.fixture(scope="module")
def policy():
    return CedarPolicy.load(PolicySettings())


def call(server, *, user="ada", built_in=False, annotations=None, labels=frozenset()):
    return ToolCall(
        principal=Principal(user, "k1"),
        server=server,
        tool="do",
        task="t-1",
        arguments={"source": "print(1)", "n": 1.5, "x": None},
        annotations=annotations or {},
        built_in=built_in,
        labels=labels,
    )


@pytest.mark.parametrize("user", ["local", "ada"])
@pytest.mark.parametrize("server", ["code", "files", "shell", "muxi"])
@pytest.mark.parametrize("annotations", [{}, READ_ONLY, {"destructiveHint": True}])
def test_tools_of_built_in_servers_are_allowed(policy, user, server, annotations):
    decision = policy.decide(call(server, user=user, built_in=True, annotations=annotations))
    assert (decision.effect, decision.rule, decision.remedy) == (Effect.ALLOW, "built-in-tools", "")


@pytest.mark.parametrize("annotations", [READ_ONLY, HARMLESS, {**READ_ONLY, "destructiveHint": True}])
def test_an_added_tool_that_looks_but_does_not_touch_is_allowed(policy, annotations):
    decision = policy.decide(call("added", annotations=annotations))
    assert (decision.effect, decision.rule) == (Effect.ALLOW, "added-tools")


@pytest.mark.parametrize(
    ("annotations", "rule"),
    [
        ({}, "ask-before-destructive"),
        ({"readOnlyHint": False}, "ask-before-destructive"),
        ({"destructiveHint": True, "openWorldHint": False}, "ask-before-destructive"),
        ({"destructiveHint": False}, "ask-before-outside-change"),
        ({"destructiveHint": False, "openWorldHint": True}, "ask-before-outside-change"),
        ({"readOnlyHint": "true"}, "ask-before-destructive"),
        ({"readOnlyHint": 1, "destructiveHint": 0, "openWorldHint": None}, "ask-before-destructive"),
    ],
)
def test_an_added_tool_that_may_change_something_needs_a_person(policy, annotations, rule):
    decision = policy.decide(call("added", annotations=annotations))
    assert (decision.effect, decision.rule) == (Effect.ASK, rule)
    assert decision.reason.endswith(".")
    assert "Approve" in decision.remedy


def test_a_server_that_only_calls_itself_built_in_is_an_added_one(policy):
    assert policy.decide(call("muxi", built_in=False)).effect is Effect.ASK


@pytest.mark.parametrize("built_in", [True, False])
def test_a_task_that_saw_private_and_untrusted_content_asks_before_it_reaches_out(policy, built_in):
    reaches_out = {"readOnlyHint": True, "openWorldHint": True}
    stays_in = {"readOnlyHint": True, "openWorldHint": False}
    ask = policy.decide(call("x", built_in=built_in, annotations=reaches_out, labels=BOTH))
    assert (ask.effect, ask.rule) == (Effect.ASK, "ask-before-leak")
    assert policy.decide(call("x", built_in=built_in, annotations=stays_in, labels=BOTH)).effect is Effect.ALLOW
    for label in BOTH:
        one = call("x", built_in=built_in, annotations=reaches_out, labels=frozenset({label}))
        assert policy.decide(one).effect is Effect.ALLOW


def test_every_shipped_rule_has_an_id_and_words_for_people(policy):
    for rule in policy.rules.rules.values():
        assert rule.id == rule.body["annotations"]["id"]
        assert rule.reason
        assert rule.remedy or not rule.asks
