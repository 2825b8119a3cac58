"""Decisions fail closed, whatever is in a call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Effect, ToolCall
from muxi_runtime.policy.rules import DEFAULT_DENY, EVALUATION_ERROR, UNREADABLE, parse_rules
from muxi_runtime.policy.settings import PolicySettings

PERMIT_ALL = '@id("all") permit (principal, action, resource);'
READS = (
    '@id("no-x") forbid (principal, action == Action::"call_tool", resource) when {'
    ' context.arguments.hasTag("a") && context.arguments.getTag("a").text like "*x*" };'
)
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)
ODD_TEXT = ANY_TEXT | st.sampled_from(
    [
        '"',
        '"; permit (principal, action, resource);//',
        'x" in Server::"code',
        "\\",
        "\\u{0}",
        "*",
        "__entity",
        "\x00\n",
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXT | st.just("a"), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(ODD_TEXT | st.just("a"), ANY_JSON, max_size=4)


def policy_of(*texts):
    rules, problems = parse_rules({f"{number}.cedar": text for number, text in enumerate(texts)})
    assert problems == []
    return CedarPolicy(rules)


def call(**options):
    given = {"principal": Principal("ada"), "server": "shell", "tool": "run", "task": "t-1", **options}
    return ToolCall(**given)


SHIPPED = CedarPolicy.load(PolicySettings())
READING = policy_of(PERMIT_ALL, READS)
ONE_TOOL = policy_of('@id("one") permit (principal == User::"ada", action, resource == Tool::"shell.run");')


@pytest.mark.promise("policy-fails-closed")
@given(
    user=ODD_TEXT,
    server=ODD_TEXT,
    tool=ODD_TEXT,
    task=ODD_TEXT,
    key=st.none() | ODD_TEXT,
    arguments=ARGUMENTS,
    annotations=st.dictionaries(ODD_TEXT | st.just("readOnlyHint"), ANY_JSON, max_size=4),
    labels=st.frozensets(ODD_TEXT, max_size=3),
)
def test_a_decision_never_raises_and_always_says_why(user, server, tool, task, key, arguments, annotations, labels):
    decided = [
        policy.decide(
            ToolCall(
                principal=Principal(user, key),
                server=server,
                tool=tool,
                task=task,
                arguments=arguments,
                annotations=annotations,
                labels=labels,
            )
        )
        for policy in (SHIPPED, READING, ONE_TOOL)
    ]
    for decision in decided:
        assert isinstance(decision.effect, Effect)
        assert decision.rule
        assert decision.reason
        assert decision.remedy or decision.effect is Effect.ALLOW


@pytest.mark.promise("policy-no-injection")
@given(user=ODD_TEXT, server=ODD_TEXT, tool=ODD_TEXT)
def test_odd_names_are_only_names(user, server, tool):
    decision = ONE_TOOL.decide(call(principal=Principal(user), server=server, tool=tool))
    is_the_one = (user, server, tool) == ("ada", "shell", "run")
    assert (decision.effect is Effect.ALLOW) == is_the_one


@pytest.mark.promise("policy-no-injection")
def test_a_dot_in_a_name_makes_no_other_tool_of_it():
    policy = policy_of('permit (principal, action, resource == Tool::"a.b.c");')
    assert policy.decide(call(server="a", tool="b.c")).effect is Effect.ALLOW
    assert policy.decide(call(server="a.b", tool="c")).effect is Effect.DENY


@pytest.mark.promise("policy-reads-arguments-truly")
@given(before=ANY_TEXT, after=ANY_TEXT, others=ARGUMENTS)
def test_what_a_rule_forbids_cannot_be_hidden_by_what_is_around_it(before, after, others):
    arguments = {**others, "a": f"{before}x{after}"}
    assert READING.decide(call(arguments=arguments)).effect is Effect.DENY


@pytest.mark.promise("policy-reads-arguments-truly")
@given(others=ARGUMENTS, harmless=st.text("abc"))
def test_arguments_that_no_rule_reads_change_nothing(others, harmless):
    assert READING.decide(call(arguments={**others, "a": harmless})).effect is Effect.ALLOW


@pytest.mark.promise("policy-reads-arguments-truly")
@pytest.mark.parametrize(
    "value",
    ["y" * 300_000, "\ud800", float("nan"), float("inf"), {"a": float("nan")}, object(), {1: object()}, [b"x"]],
    ids=["large", "surrogate", "nan", "inf", "inner nan", "object", "inner object", "bytes"],
)
def test_an_argument_that_cannot_be_shown_to_a_rule_truly_is_denied(value):
    decision = READING.decide(call(arguments={"a": value}))
    assert (decision.effect, decision.rule) == (Effect.DENY, UNREADABLE)


def test_a_large_argument_that_a_rule_reads_is_read_whole():
    assert READING.decide(call(arguments={"a": "y" * 250_000})).effect is Effect.ALLOW
    assert READING.decide(call(arguments={"a": "y" * 250_000 + "x"})).rule == "no-x"


def test_arguments_nested_beyond_all_measure_are_denied():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert READING.decide(call(arguments={"a": deep})).effect is Effect.DENY


@pytest.mark.promise("policy-default-deny")
def test_without_a_permit_everything_is_denied():
    for policy in (policy_of(), policy_of(READS), policy_of('permit (principal == User::"eve", action, resource);')):
        decision = policy.decide(call())
        assert (decision.effect, decision.rule) == (Effect.DENY, DEFAULT_DENY)
        assert "policy explain" in decision.remedy


@pytest.mark.promise("policy-fails-closed")
@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_a_rule_that_fails_while_it_is_evaluated_denies(effect):
    argument = 'context.arguments.getTag("n")'
    overflow = f'context.arguments.hasTag("n") && {argument} has low && {argument}.low * 4611686018427387904 == 0'
    policy = policy_of(
        PERMIT_ALL, f'@id("bad") {effect} (principal, action == Action::"call_tool", resource) when {{ {overflow} }};'
    )
    decision = policy.decide(call(arguments={"n": 2**40}))
    assert (decision.effect, decision.rule) == (Effect.DENY, EVALUATION_ERROR)
    assert "bad" in decision.reason


RULES = {
    "permit": "permit (principal, action, resource);",
    "ask": '@decision("ask") forbid (principal, action, resource);',
    "forbid": "forbid (principal, action, resource);",
}


@pytest.mark.promise("policy-ask-never-widens")
@given(kinds=st.lists(st.sampled_from(sorted(RULES)), max_size=6))
def test_a_question_outranks_a_permit_and_never_a_refusal(kinds):
    text = "\n".join(f'@id("{kind}-{number}") {RULES[kind]}' for number, kind in enumerate(kinds))
    decision = policy_of(text).decide(call())
    if "forbid" in kinds or "permit" not in kinds:
        expected = Effect.DENY
    else:
        expected = Effect.ASK if "ask" in kinds else Effect.ALLOW
    assert decision.effect is expected
    if "forbid" in kinds:
        assert decision.rule.startswith("forbid-")
