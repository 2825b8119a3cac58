"""A decision that is remembered is the one that would be made anew, whatever the rules read of the arguments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.aspects import MAX_VALUE
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Effect, ToolCall
from muxi_runtime.policy.provenance import ORIGINS
from muxi_runtime.policy.rules import RuleSet, parse_rules

PERMIT = '@id("all") permit (principal, action == Action::"call_tool", resource);'
ANY = 'forbid (principal, action == Action::"call_tool", resource) when {{ {} }};'
NAMES = ("a", "b", "b/c")
LETTERS = 'ab*\\"\n\u00e9'

texts = st.text(LETTERS, max_size=5)
numbers = st.integers(-3, 3)
values = st.one_of(
    texts, numbers, st.floats(-3, 3), st.booleans(), st.none(), st.lists(texts | numbers, max_size=3)
) | st.fixed_dictionaries({"c": texts | numbers})


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def pattern(parts: list[str]) -> str:
    return "*".join(quoted(part)[1:-1].replace("*", "\\*") for part in parts)


def leaf(name: str, kind: int, text: str, number: int, parts: list[str]) -> str:
    tag = f'context.arguments.getTag("{name}")'
    looks = (
        f'{tag}.text like "{pattern(parts)}"',
        f"{tag}.text == {quoted(text)}",
        f"{quoted(text)} != {tag}.text",
        f"[{quoted(text)}, {quoted('a')}].contains({tag}.text)",
        f'{tag}.kind != "string"',
        f"{tag} has low && {tag}.low >= {number}",
        f"{tag} has high && {tag}.high * 2 < {number}",
        f"{tag} has items && {tag}.items.contains({quoted(text)})",
        f"{tag} has items && {tag}.items == [{quoted(text)}]",
        f'{tag} has origin && {tag}.origin == "user"',
        f"{tag}.text == principal.role",
        f'{tag} == context.arguments.getTag("{name}")',
    )
    return f'(context.arguments.hasTag("{name}") && {looks[kind % len(looks)]})'


leaves = st.builds(leaf, st.sampled_from(NAMES), st.integers(0, 99), texts, numbers, st.lists(texts, max_size=4))
others = st.sampled_from(
    [
        'context.labels.contains("private")',
        'context.task == "t-1"',
        'context.arguments.hasTag("a")',
        'context.arguments == Arguments::"none"',
        '{left: context, attr: "x"}.left.arguments.hasTag("b")',
        'context has origins && context.origins.contains("user")',
    ]
)
conditions = st.recursive(
    leaves | others,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("(if {} then {} else {})".format, inner, inner, inner),
    ),
    max_leaves=4,
)
heads = st.sampled_from(
    [
        'permit (principal, action == Action::"call_tool", resource)',
        'forbid (principal, action == Action::"call_tool", resource)',
        '@decision("ask") forbid (principal, action == Action::"call_tool", resource)',
        'forbid (principal, action == Action::"call_tool", resource == Tool::"s.t")',
    ]
)
rules = st.lists(st.builds("{} when {{ {} }};".format, heads, conditions), min_size=1, max_size=3)


@st.composite
def calls(draw: st.DrawFn) -> ToolCall:
    arguments = draw(st.dictionaries(st.sampled_from(["a", "b", "d"]), values, max_size=3))
    origins = {name: draw(st.sampled_from(ORIGINS)) for name in arguments} if draw(st.booleans()) else None
    labels = draw(st.sampled_from([frozenset(), frozenset({"private"})]))
    return ToolCall(
        Principal("ada"), "s", draw(st.sampled_from("tu")), "t-1", arguments, labels=labels, origins=origins
    )


def rules_of(*texts: str) -> RuleSet:
    """Those of the texts that are right: not each condition that can be written is one."""
    return parse_rules({f"{number}.cedar": text for number, text in enumerate(texts)})[0]


@pytest.mark.promise("policy-reads-arguments-truly")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rules, st.lists(calls(), min_size=2, max_size=8))
def test_what_is_remembered_is_what_would_be_decided_anew(texts: list[str], several: list[ToolCall]) -> None:
    found = rules_of(PERMIT, *texts)
    remembering = CedarPolicy(found)
    for call in several:
        assert remembering.decide(call) == CedarPolicy(found).decide(call)


short = st.text("ab*", max_size=4)
alike = st.one_of(
    st.lists(short, min_size=6, max_size=12),
    st.lists(st.lists(st.text("ab", max_size=1), max_size=2), min_size=6, max_size=12),
    st.lists(numbers, min_size=6, max_size=12),
)


@pytest.mark.promise("policy-reads-arguments-truly")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 9), short, numbers, st.lists(short, min_size=1, max_size=4), alike)
def test_values_that_are_nearly_the_same_are_told_apart(
    kind: int, text: str, number: int, parts: list[str], several: list[Any]
) -> None:
    found = rules_of(
        PERMIT,
        ANY.format(leaf("a", kind, text, number, parts)),
    )
    remembering = CedarPolicy(found)
    for value in several:
        asked = ToolCall(Principal("ada"), "s", "t", "t-1", {"a": value})
        assert remembering.decide(asked) == CedarPolicy(found).decide(asked)


def reading(condition: str) -> CedarPolicy:
    found = rules_of(
        PERMIT, f'@id("no") forbid (principal, action == Action::"call_tool", resource) when {{ {condition} }};'
    )
    assert "no" in found.rules
    return CedarPolicy(found)


def call(**arguments: Any) -> ToolCall:
    return ToolCall(Principal("ada"), "s", "t", "t-1", arguments)


SECRET = 'context.arguments.hasTag("path") && context.arguments.getTag("path").text like "*/secret/*"'


def test_calls_that_no_rule_can_tell_apart_are_decided_once() -> None:
    policy = reading(SECRET)
    first = policy.decide(call(path="a/b", other=1))
    assert policy.decide(call(path="c/d", other=2)) is first
    assert policy.decide(call(path="c/secret/d")).effect is Effect.DENY
    assert policy.decide(call(path="c/d")) is first


@pytest.mark.parametrize(
    ("like", "fits", "fails"),
    [
        ("a*a", "aa", "a"),
        ("ab*ba", "abba", "aba"),
        ("*b*a*", "xbxa", "ab"),
        ("*a*a", "aba", "a"),
        ("a*b*c", "abc", "acb"),
        ("*b*bc", "bbc", "bc"),
        ("a", "a", "aa"),
        ("\\*", "*", "a"),
    ],
)
def test_a_pattern_fits_what_cedar_says_that_it_fits(like: str, fits: str, fails: str) -> None:
    policy = reading(f'context.arguments.hasTag("path") && context.arguments.getTag("path").text like "{like}"')
    for text, effect in ((fits, Effect.DENY), (fails, Effect.ALLOW), (fits, Effect.DENY)):
        assert policy.decide(call(path=text)).effect is effect


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ('context.arguments == Arguments::"none"', "x"),
        ('context.arguments.hasTag("path") && context == context', "x"),
        (
            (
                'context.arguments.hasTag("path") && context.arguments.getTag("path").text like "*" && '
                '["a"].contains(context.arguments.getTag("path").text)'
            ),
            "x" * (MAX_VALUE + 1),
        ),
    ],
)
def test_where_that_is_not_known_each_call_is_evaluated(condition: str, value: str) -> None:
    policy = reading(f'context.arguments.hasTag("path") && ({condition})')
    assert policy.decide(call(path=value)) is not policy.decide(call(path=value))


def test_matching_takes_no_longer_than_the_text_is_long() -> None:
    stars = "a*" * 30
    policy = reading(f'context.arguments.hasTag("path") && context.arguments.getTag("path").text like "{stars}b"')
    assert policy.decide(call(path="a" * 200_000)).effect is Effect.ALLOW
