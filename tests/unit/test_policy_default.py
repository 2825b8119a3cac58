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


def call(server, *, user="ada", built_in=False, annotations=None, labels=frozenset(), origins=None):
    return ToolCall(
        principal=Principal(user, "k1"),
        server=server,
        tool="do",
        task="t-1",
        arguments={"source": "print(1)", "n": 1.5, "x": None},
        annotations=annotations or {},
        built_in=built_in,
        labels=labels,
        origins=origins,
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


SENDS = {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": True}
DELETES = {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": False}
BROWSES = {"readOnlyHint": True, "openWorldHint": True}


@pytest.mark.parametrize("annotations", [SENDS, DELETES, {}])
@pytest.mark.parametrize("labels", [frozenset(), frozenset({"untrusted"}), BOTH])
@pytest.mark.parametrize("rest", ["plain", "user", "record", "model"])
def test_what_the_user_named_needs_no_second_word(policy, annotations, labels, rest):
    named = call("mail", annotations=annotations, labels=labels, origins={"to": "user", "x": rest})
    assert policy.decide(named).effect is Effect.ALLOW


@pytest.mark.promise("strangers-are-not-obeyed")
@pytest.mark.parametrize("annotations", [SENDS, DELETES, BROWSES, {}])
@pytest.mark.parametrize("bad", ["stranger", "both", "invented"])
@pytest.mark.parametrize("rest", ["plain", "user", "record", "model"])
def test_a_value_that_strangers_named_needs_a_person(policy, annotations, bad, rest):
    obeying = call("mail", annotations=annotations, labels=BOTH, origins={"to": bad, "x": rest})
    assert policy.decide(obeying).effect is Effect.ASK


@pytest.mark.promise("strangers-are-not-obeyed")
@pytest.mark.parametrize("annotations", [SENDS, DELETES, {}])
@pytest.mark.parametrize("origins", [{}, {"x": "plain"}, {"x": "record"}, {"x": "record", "y": "model"}])
def test_a_call_of_which_the_user_named_nothing_needs_a_person(policy, annotations, origins):
    assert policy.decide(call("mail", annotations=annotations, origins=origins)).effect is Effect.ASK


@pytest.mark.promise("strangers-are-not-obeyed")
def test_a_built_in_tool_that_reaches_out_asks_too(policy):
    asked = policy.decide(call("code", built_in=True, annotations=SENDS, origins={"to": "stranger"}))
    assert (asked.effect, asked.rule) == (Effect.ASK, "ask-before-obeying-strangers")


@pytest.mark.promise("strangers-are-not-obeyed")
@pytest.mark.parametrize("rest", ["record", "model"])
def test_private_data_is_not_looked_up_outside_beside_a_word_of_the_users(policy, rest):
    search = call("web", annotations=BROWSES, labels=BOTH, origins={"language": "user", "query": rest})
    assert (policy.decide(search).effect, policy.decide(search).rule) == (Effect.ASK, "ask-before-leak")
    own = call("web", annotations=BROWSES, labels=BOTH, origins={"language": "plain", "query": "user"})
    assert policy.decide(own).effect is Effect.ALLOW


def test_looking_things_up_with_what_strangers_named_is_allowed(policy):
    look = {"readOnlyHint": True, "openWorldHint": False}
    assert policy.decide(call("mail", annotations=look, labels=BOTH, origins={"q": "stranger"})).effect is Effect.ALLOW


def test_an_address_from_nowhere_is_fine_in_a_task_that_read_nothing_of_strangers(policy):
    assert policy.decide(call("web", annotations=BROWSES, origins={"url": "invented"})).effect is Effect.ALLOW


@pytest.mark.parametrize("annotations", [SENDS, DELETES, {}])
def test_where_the_users_words_are_not_known_nothing_is_loosened(policy, annotations):
    assert policy.decide(call("mail", annotations=annotations)).effect is Effect.ASK


def test_every_shipped_rule_has_an_id_and_words_for_people(policy):
    for rule in policy.rules.rules.values():
        assert rule.id == rule.body["annotations"]["id"]
        assert rule.reason
        assert rule.remedy or not rule.asks
