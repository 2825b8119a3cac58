from __future__ import annotations

from pathlib import Path

import pytest

from muxi_runtime.errors import ConfigError
from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.check import check
from muxi_runtime.policy.contract import Effect, ToolCall
from muxi_runtime.policy.explain import explain
from muxi_runtime.policy.rules import load_rules, parse_rules, read_files
from muxi_runtime.policy.settings import PolicySettings
from muxi_runtime.policy.statements import statements

PERMIT = '@id("all") permit (principal, action, resource);\n'


def policy_of(*texts):
    rules, problems = parse_rules({f"{number}.cedar": text for number, text in enumerate(texts)})
    assert problems == []
    return CedarPolicy(rules)


def call(arguments=None, **options):
    given = {"principal": Principal("ada"), "server": "shell", "tool": "run", "task": "t-1", **options}
    return ToolCall(arguments=arguments or {}, **given)


def test_statements_are_cut_at_semicolons_that_end_them():
    text = (
        '// a; b\n@id(";")\npermit (principal, action, resource) // no; end\nwhen { "\\";" == "//;" };\n\nforbid (x);'
    )
    text += "tail"
    found = list(statements(text))
    assert [statement.line for statement in found] == [2, 6, 6]
    assert "".join(statement.text for statement in found).count("permit") == 1
    assert found[2].text == "tail"
    assert list(statements("  // only a comment\n")) == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\n\npermit (principal, action, resource)\nwhen { 1 = };", 3, "not Cedar"),
        ("permit (principal, action", 1, "not Cedar"),
        ("permit (principal == ?principal, action, resource);", 1, "template"),
        ('\n@id("x") permit (principal, action == Action::"call_tol", resource);', 2, "rule 'x': unrecognized action"),
        ('@id("x") permit (principal, action, resource) when { context.foo == 1 };', 1, "attribute `foo`"),
        (
            (
                '@id("x") permit (principal, action == Action::"call_tool", resource)'
                ' when { context.arguments.getTag("a").text == "" };'
            ),
            1,
            "unable to guarantee safety of access to tag",
        ),
        (
            (
                '@id("x") permit (principal, action == Action::"call_tool", resource)'
                " when { context.arguments.hasTag(context.task) };"
            ),
            1,
            "needs the argument's name in quotes",
        ),
        ('@id("x") @decision("maybe") forbid (principal, action, resource);', 1, 'can only be "ask"'),
        ('@id("x") @decision("ask") permit (principal, action, resource);', 1, "belongs on a forbid"),
        ('@id("x") @because("y") permit (principal, action, resource);', 1, "@because means nothing here"),
        ('@id("default-deny") permit (principal, action, resource);', 1, "choose another"),
        (PERMIT * 2, 2, "a.cedar:1 has the same @id"),
    ],
)
def test_a_wrong_rule_is_named_with_its_file_line_and_id(text, line, message):
    _, problems = parse_rules({"a.cedar": text})
    assert [(problem.file, problem.line) for problem in problems][:1] == [("a.cedar", line)]
    assert message in "\n".join(map(str, problems))


def test_all_problems_of_all_files_come_at_once(tmp_path):
    (tmp_path / "a.cedar").write_text("permit (;\n" + PERMIT)
    (tmp_path / "b.cedar").write_text("\nforbid (;" + PERMIT)
    with pytest.raises(ConfigError) as caught:
        load_rules([tmp_path / "a.cedar", tmp_path / "b.cedar"])
    assert f"{tmp_path}/a.cedar:1" in str(caught.value)
    assert f"{tmp_path}/b.cedar:2" in str(caught.value)
    assert "policy check" in caught.value.remedy


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.cedar cannot be read"):
        read_files([tmp_path / "none.cedar"])
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_files([tmp_path / "latin"])


def test_the_shipped_rules_can_stand_beside_files_of_ones_own(tmp_path):
    own = tmp_path / "own.cedar"
    own.write_text('@id("no-shell") forbid (principal, action, resource in Server::"shell");')
    policy = CedarPolicy.load(PolicySettings(files=(Path("default"), own)))
    assert policy.decide(call(built_in=True)).rule == "no-shell"
    assert policy.decide(call(built_in=True, server="code")).rule == "built-in-tools"


def test_a_rule_without_id_is_called_by_its_place_and_still_gives_a_reason():
    policy = policy_of(PERMIT, "\nforbid (principal, action, resource);")
    decision = policy.decide(call())
    assert (decision.effect, decision.rule) == (Effect.DENY, "1.cedar:2")
    assert "1.cedar:2" in decision.reason


def test_rules_see_who_calls_what_in_which_task_with_which_key():
    for condition in (
        'principal == User::"ada"',
        'resource == Tool::"shell.run" && resource in Server::"shell"',
        'resource.name == "run" && resource.server == "shell" && !resource.built_in',
        'context.task == "t-1"',
        'context has key && context.key == "k1"',
        'context.labels.contains("private")',
    ):
        policy = policy_of(f'permit (principal, action == Action::"call_tool", resource) when {{ {condition} }};')
        right = call(principal=Principal("ada", "k1"), labels=frozenset({"private"}))
        wrong = call(principal=Principal("eve"), server="code", tool="x", task="t-2", built_in=True)
        assert policy.decide(right).effect is Effect.ALLOW, condition
        assert policy.decide(wrong).effect is Effect.DENY, condition


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        ("curl x", '.text like "*curl*"'),
        ("", '.text == ""'),
        ('"quoted"\n', '.text == "\\"quoted\\"\\n"'),
        (True, '.kind == "boolean" && context.arguments.getTag("a").text == "true"'),
        (None, '.kind == "null"'),
        (7, ' has low && context.arguments.getTag("a").low == 7'),
        (7, ' has high && context.arguments.getTag("a").high == 7'),
        (100.5, ' has high && context.arguments.getTag("a").high > 100'),
        (100.5, ' has low && context.arguments.getTag("a").low <= 100'),
        (1e300, ' has high && context.arguments.getTag("a").high > 9000000000000000000'),
        (-(10**40), ' has low && context.arguments.getTag("a").low < -9000000000000000000'),
        (["a", {"b": 1}], ' has items && context.arguments.getTag("a").items.contains("a")'),
        ([1], ' has items && context.arguments.getTag("a").items == ["1"]'),
        ({"b": "c"}, '.text == "{\\"b\\":\\"c\\"}"'),
    ],
)
def test_a_rule_reads_an_argument_of_any_kind(value, condition):
    policy = policy_of(
        PERMIT,
        'forbid (principal, action == Action::"call_tool", resource) when { context.arguments.hasTag("a")'
        f' && context.arguments.getTag("a"){condition} }};',
    )
    assert policy.decide(call({"a": value})).effect is Effect.DENY
    assert policy.decide(call({"b": value})).effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a/b", {"a": {"b": "x"}}),
        ("a/0/b", {"a": [{"b": "x"}]}),
        ("a~1b", {"a/b": "x"}),
        ("~01", {"~1": "x"}),
        ("", {"": "x"}),
        ("a.b", {"a.b": "x"}),
    ],
)
def test_a_rule_reads_an_argument_inside_another_by_its_path(name, arguments):
    policy = policy_of(
        f'permit (principal, action == Action::"call_tool", resource) when {{ context.arguments.hasTag("{name}")'
        f' && context.arguments.getTag("{name}").text == "x" }};'
    )
    assert policy.decide(call(arguments)).effect is Effect.ALLOW
    assert policy.decide(call({"a": "x", "b": "x"})).effect is Effect.DENY


def test_check_gives_rules_problems_and_notes(tmp_path):
    (tmp_path / "empty.cedar").write_text("// nothing\n")
    (tmp_path / "own.cedar").write_text("forbid (principal, action, resource);")
    found = check([tmp_path / "empty.cedar", tmp_path / "own.cedar"])
    assert found.ok
    assert len(found.rules.rules) == 1
    assert [word for note in found.notes for word in ("no rules", "denied", "@reason") if word in note] == [
        "no rules",
        "denied",
        "@reason",
    ]
    assert check([]).notes == ()


def test_explain_names_the_rule_the_facts_and_single_changes_that_matter():
    policy = policy_of(
        PERMIT,
        '@id("no-curl") forbid (principal, action == Action::"call_tool", resource) when {'
        ' context.arguments.hasTag("command") && context.arguments.getTag("command").text like "*curl*" };',
    )
    found = explain(policy, call({"command": "curl x", "other": 1}))
    assert (found.decision.effect, [rule.id for rule in found.rules]) == (Effect.DENY, ["no-curl"])
    assert found.facts["arguments that rules read"] == {"command": "curl x"}
    changes = {change.what: (change.effect, change.rule) for change in found.changes}
    assert changes == {
        "without the argument 'command'": (Effect.ALLOW, "all"),
        "without the rule 'no-curl'": (Effect.ALLOW, "all"),
    }


def test_explain_of_the_shipped_rules_says_which_hint_would_help():
    found = explain(CedarPolicy.load(PolicySettings()), call(annotations={"destructiveHint": False}))
    changes = {change.what for change in found.changes if change.effect is Effect.ALLOW}
    assert "if the tool said readOnlyHint: true" in changes
    assert "if the tool said openWorldHint: false" in changes
    assert "if the server came with this runtime" in changes


READS_PATH = PERMIT + (
    '@id("secret") forbid (principal, action == Action::"call_tool", resource) when '
    '{ context.arguments.hasTag("path") && context.arguments.getTag("path").text == "secret" };'
)


@pytest.mark.parametrize("text", [PERMIT, READS_PATH], ids=["no arguments read", "arguments read"])
def test_a_decision_is_the_same_however_often_and_after_whatever_it_is_asked(text):
    asked = [
        call(arguments, **options)
        for arguments in ({}, {"path": "secret"}, {"path": "other"})
        for options in (
            {},
            {"principal": Principal("bob")},
            {"server": "files"},
            {"tool": "stat"},
            {"task": "t-2"},
            {"built_in": True},
            {"annotations": {"readOnlyHint": True}},
            {"labels": frozenset({"private"})},
        )
    ]
    fresh = [policy_of(text).decide(one) for one in asked]
    policy = policy_of(text)
    for _ in range(3):
        assert [policy.decide(one) for one in asked] == fresh
    assert [policy.decide(one) for one in reversed(asked)] == fresh[::-1]


def test_two_calls_that_rules_tell_apart_are_never_taken_for_one():
    rules = (
        '@id("label") forbid (principal, action, resource) when { context.labels.contains("private") };\n'
        '@id("built-in") permit (principal, action == Action::"call_tool", resource) when { resource.built_in };\n'
        '@id("bob") permit (principal == User::"bob", action, resource);'
    )
    policy = policy_of(rules)
    for _ in range(2):
        assert policy.decide(call()).rule == "default-deny"
        assert policy.decide(call(built_in=True)).rule == "built-in"
        assert policy.decide(call(built_in=True, labels=frozenset({"private"}))).rule == "label"
        assert policy.decide(call(principal=Principal("bob"))).rule == "bob"
