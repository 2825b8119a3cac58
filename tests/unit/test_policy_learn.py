"""What `policy learn` proposes: enough for what was seen, and nothing more, whatever names servers give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import program
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.contract import Draft, Event
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.writer import ChainWriter
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Access, Connection, Effect, Request, SecretUse, ToolCall
from muxi_runtime.policy.learn import Proposal, cedar_string, learn
from muxi_runtime.policy.observed import observe
from muxi_runtime.policy.rules import load_rules, parse_rules
from muxi_runtime.store.engine import database_path, open_store

AT = "2026-11-21T10:00:00.000000Z"
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def call(tool: str, effect: str = "allow", *, user: str = "ada/k1", call: str = "c-1", **more: str) -> Draft:
    server, _, name = tool.partition(".")
    facts = {"server": server, "tool": name, "effect": effect, "rule": "some-rule", **more}
    return Draft("call.decided", user, "t-1", call, facts)


def answer(*, allowed: bool, call: str = "c-1") -> Draft:
    return Draft("call.answered", "ada/k1", "t-1", call, {"allowed": allowed, "rule": "some-rule"})


def connection(host: str, *, rule: str = "some-rule", allowed: bool = True, user: str = "ada") -> Draft:
    facts = {"server": "web", "host": host, "port": 443, "scheme": "connect", "allowed": allowed, "rule": rule}
    return Draft("egress.decided", user, "t-1", None, facts)


def learned(*drafts: Draft) -> Proposal:
    events = [
        Event(draft.kind, draft.principal, draft.task, draft.call, draft.data, seq, AT)
        for seq, draft in enumerate(drafts, 1)
    ]
    return learn(observe(events), load_rules(()))


def effect(proposal: Proposal, request: Request) -> Effect:
    rules, problems = parse_rules({"learned.cedar": proposal.rules})
    assert problems == []
    return CedarPolicy(rules).decide(request).effect


ADA, BOB = Principal("ada", "k2"), Principal("bob")
LOOK = {"readOnlyHint": True, "openWorldHint": False}


def test_who_did_something_may_do_it_again_and_nobody_else():
    proposal = learned(call("clock.now"), call("clock.now"))
    assert "Seen 2 times, on 2026-11-21." in proposal.rules
    assert effect(proposal, ToolCall(ADA, "clock", "now", "t-9", annotations=LOOK)) is Effect.ALLOW
    for other in (
        ToolCall(BOB, "clock", "now", "t"),
        ToolCall(ADA, "clock", "set", "t"),
        ToolCall(ADA, "c", "now", "t"),
    ):
        assert effect(proposal, other) is Effect.DENY


def test_what_was_asked_about_is_asked_about_again():
    proposal = learned(call("mail.send", "ask"), answer(allowed=True))
    assert "once, 1 of them after a person approved" in proposal.rules
    assert effect(proposal, ToolCall(ADA, "mail", "send", "t")) is Effect.ASK


@pytest.mark.parametrize(
    "drafts",
    [(call("mail.send", "deny"),), (call("mail.send", "ask"), answer(allowed=False)), (call("mail.send", "ask"),)],
)
def test_what_was_refused_stays_refused_and_is_told(drafts):
    proposal = learned(*drafts)
    assert proposal.permits == 0
    assert "ada used mail.send: by some-rule once" in proposal.rules
    assert effect(proposal, ToolCall(ADA, "mail", "send", "t", annotations=LOOK)) is Effect.DENY


def test_resources_and_prompts_are_what_they_are():
    proposal = learned(
        call("docs.file:///a.txt", method="resources/read"),
        call("docs.review", method="prompts/get"),
    )
    assert effect(proposal, Access(ADA, "docs", "resource", "file:///a.txt", "t")) is Effect.ALLOW
    assert effect(proposal, Access(ADA, "docs", "prompt", "review", "t")) is Effect.ALLOW
    assert effect(proposal, ToolCall(ADA, "docs", "review", "t", annotations=LOOK)) is Effect.DENY


def test_hosts_that_were_used_are_permitted_to_that_server_and_listed():
    proposal = learned(connection("example.org"), connection("evil.example", rule="profile", allowed=False))
    assert proposal.hosts == {"web": ("example.org:443",)}
    assert proposal.refused_hosts == {"web": ("evil.example:443",)}
    assert effect(proposal, Connection(ADA, "web", "example.org", 443, "t")) is Effect.ALLOW
    for other in (
        Connection(ADA, "mail", "example.org", 443, "t"),
        Connection(ADA, "web", "example.org", 80, "t"),
        Connection(ADA, "web", "evil.example", 443, "t"),
    ):
        assert effect(proposal, other) is Effect.DENY


def test_a_secret_that_was_used_is_permitted_to_that_server_for_that_host() -> None:
    facts = {"server": "web", "host": "api.test", "port": 443, "scheme": "connect", "name": "TOKEN", "rule": "r"}
    proposal = learned(Draft("secret.used", "ada/k1", "t-1", "c-1", facts))
    assert effect(proposal, SecretUse(ADA, "web", "TOKEN", "api.test", 443, "t-9")) is Effect.ALLOW
    for other in (
        SecretUse(BOB, "web", "TOKEN", "api.test", 443, "t"),
        SecretUse(ADA, "shell", "TOKEN", "api.test", 443, "t"),
        SecretUse(ADA, "web", "OTHER", "api.test", 443, "t"),
        SecretUse(ADA, "web", "TOKEN", "b.test", 443, "t"),
    ):
        assert effect(proposal, other) is Effect.DENY


def test_an_event_that_was_shortened_is_counted_and_not_guessed():
    proposal = learned(Draft("call.decided", "ada", "t-1", "c-1", {"shortened": True}), call("a." + "x" * 500))
    assert proposal.permits == 0
    assert "2 times something was decided whose name" in proposal.rules


@given(name=NAMES, user=NAMES.filter(lambda text: "/" not in text))
def test_no_name_of_a_server_s_can_change_the_rules(name: str, user: str) -> None:
    proposal = learned(call(f"s.{name}", user=user), call(f"s.{name}", "deny", user=f"{user}x"))
    rules, problems = parse_rules({"learned.cedar": proposal.rules})
    assert problems == []
    permits = [rule for rule in rules.rules.values() if rule.permits]
    assert [rule.body["resource"]["entity"]["id"] for rule in permits] == [f"s.{name}"]
    assert [rule.body["principal"]["entity"]["id"] for rule in permits] == [user]


@given(NAMES)
def test_a_cedar_string_is_the_text(text: str) -> None:
    written = cedar_string(text)
    assert written.isascii()
    assert "\n" not in written
    rules, problems = parse_rules({"x": f'@id("x") permit (principal == User::{written}, action, resource);'})
    assert problems == []
    assert rules.rules["x"].body["principal"]["entity"]["id"] == text


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    open_store(home).dispose()
    writer = ChainWriter(database_path(home), JournalSettings())
    writer.append([call("clock.now"), call("clock.now", user="bob"), connection("example.org")])
    writer.close()
    return home


def test_the_command_writes_a_file_that_can_be_used(home: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> str:
        done = CliRunner().invoke(program, ["--home", str(home), *map(str, arguments)])
        assert done.exit_code == ExitCode.OK, done.exception
        return done.stdout

    file = tmp_path / "learned.cedar"
    shown = run("policy", "learn", "--user", "ada", "--write", file)
    assert "2 permits" in shown
    assert "web:" in shown
    (home / "muxi.yaml").write_text(json.dumps({"policy": {"files": [str(file)]}}))
    assert "bob" not in file.read_text()
    decided = json.loads(
        run("policy", "explain", "clock.now", "--user", "ada", "--hint", "readOnlyHint=true", "--json")
    )
    assert decided["rule"] == "seen-1-clock.now"
    again = CliRunner().invoke(program, ["--home", str(home), "policy", "learn", "--write", str(file)])
    assert "exists" in str(again.exception)
    assert json.loads(run("policy", "learn", "--json"))["permits"] == 3
