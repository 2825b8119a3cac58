"""What rules say of a connection that a server's profile lets through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import program
from muxi_runtime.errors import ConfigError
from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cases import load_cases, run_cases
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Connection, Effect, ToolCall
from muxi_runtime.policy.explain import explain
from muxi_runtime.policy.questions import place
from muxi_runtime.policy.rules import DEFAULT_DENY, EVALUATION_ERROR, parse_rules
from muxi_runtime.policy.settings import PolicySettings
from muxi_sandbox.egress.names import parse_authority

SHIPPED = CedarPolicy.load(PolicySettings())
BOTH = frozenset({"private", "untrusted"})
PERMIT = '@id("any") permit (principal, action, resource);'
CASES = """
cases:
  - {server: shell, connect: "example.com:443", expect: allow, rule: hosts-of-the-profile}
  - {server: shell, connect: "[2001:db8::1]:443", labels: [private, untrusted], expect: deny}
  - {tool: shell.run, built_in: true, expect: allow}
"""


def policy_of(*texts: str) -> CedarPolicy:
    rules, problems = parse_rules({f"{number}.cedar": text for number, text in enumerate(texts)})
    assert problems == []
    return CedarPolicy(rules)


def connection(**changes: Any) -> Connection:
    given = {"principal": Principal("ada", "k1"), "server": "web", "host": "example.com", "port": 443, "task": "t-1"}
    return Connection(**{**given, **changes})


@pytest.mark.parametrize("built_in", [True, False])
def test_by_default_what_the_profile_names_is_permitted(*, built_in: bool) -> None:
    decision = SHIPPED.decide(connection(built_in=built_in))
    assert (decision.effect, decision.rule) == (Effect.ALLOW, "hosts-of-the-profile")


def test_by_default_a_task_that_saw_private_and_untrusted_content_is_refused() -> None:
    decision = SHIPPED.decide(connection(labels=BOTH))
    assert (decision.effect, decision.rule) == (Effect.DENY, "no-connection-that-leaks")
    assert "new task" in decision.remedy
    for label in BOTH:
        assert SHIPPED.decide(connection(labels=frozenset({label}))).effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("condition", "changes"),
    [
        ('resource == Host::"example.com:443"', {}),
        ('resource == Host::"[2001:db8::1]:443"', {"host": "2001:db8::1"}),
        ('resource.name like "*.example.com"', {"host": "a.example.com"}),
        ("resource.port == 22", {"port": 22}),
        ('context.scheme == "http"', {"scheme": "http"}),
        ('context.server == Server::"web"', {}),
        ("context.server.built_in", {"built_in": True}),
        ('context.task == "t-9"', {"task": "t-9"}),
        ('context has key && context.key == "k1"', {}),
        ('context.labels.contains("private")', {"labels": frozenset({"private"})}),
        ('principal == User::"eve"', {"principal": Principal("eve")}),
    ],
)
def test_a_rule_refuses_by(condition: str, changes: dict[str, Any]) -> None:
    policy = policy_of(
        PERMIT,
        f'@id("no") forbid (principal, action == Action::"connect", resource is Host) when {{ {condition} }};',
    )
    assert policy.decide(connection(**changes)).rule == "no"
    other = connection(principal=Principal("ada"), server="x", host="other.net", port=80, task="t-2")
    assert policy.decide(other).rule == "any"


def test_without_a_permit_nothing_is_connected() -> None:
    policy = policy_of('permit (principal, action == Action::"call_tool", resource);')
    decision = policy.decide(connection())
    assert (decision.effect, decision.rule) == (Effect.DENY, DEFAULT_DENY)
    assert "connect web to example.com:443" in decision.reason


def test_a_rule_about_calls_does_not_touch_connections() -> None:
    policy = policy_of(PERMIT, 'forbid (principal, action == Action::"call_tool", resource);')
    assert policy.decide(connection()).effect is Effect.ALLOW
    call = ToolCall(Principal("ada"), "web", "get", "t-1")
    assert policy.decide(call).effect is Effect.DENY


def test_a_rule_that_fails_denies_the_connection() -> None:
    policy = policy_of(
        PERMIT,
        'forbid (principal, action == Action::"connect", resource) when { resource.port * 4611686018427387904 == 0 };',
    )
    assert policy.decide(connection()).rule == EVALUATION_ERROR


@given(host=st.text(max_size=30), port=st.integers(), scheme=st.text(max_size=8), server=st.text(max_size=8))
def test_whatever_a_host_is_called_it_is_decided(host: str, port: int, scheme: str, server: str) -> None:
    decision = SHIPPED.decide(connection(host=host, port=port, scheme=scheme, server=server, labels=BOTH))
    assert decision.effect is Effect.DENY


@given(
    st.ip_addresses().map(str) | st.from_regex(r"([a-z]{1,9}\.){0,3}[a-z]{2,9}", fullmatch=True), st.integers(1, 65535)
)
def test_a_place_is_read_as_it_is_written(host: str, port: int) -> None:
    assert parse_authority(place(host, port)) == (host, port)


def test_explain_shows_the_host_and_what_would_change_it() -> None:
    found = explain(SHIPPED, connection())
    assert (found.facts["host"], found.facts["server"]) == ("example.com:443", "web")
    changes = {change.what: change.effect for change in found.changes}
    assert changes["if the task had seen private and untrusted content"] is Effect.DENY
    assert changes["without the rule 'hosts-of-the-profile'"] is Effect.DENY


def test_cases_may_be_connections(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(CASES)
    assert [result.passed for result in run_cases(SHIPPED, load_cases(path))] == [True] * 3


@pytest.mark.parametrize(
    "case",
    [
        'connect: "a:1"',
        "server: a",
        'tool: a.b\n    connect: "a:1"\n    server: a',
        "server: a\n    connect: a",
        "user: a",
    ],
)
def test_a_case_that_is_no_one_request_is_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(f"cases:\n  - expect: deny\n    {case}\n")
    with pytest.raises(ConfigError):
        load_cases(path)


def test_the_command_line_explains_a_connection(tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(program, ["--home", str(tmp_path), "policy", "explain", *arguments])

    found = json.loads(run("web", "--connect", "example.com:443", "--json").stdout)
    assert (found["effect"], found["rule"], found["facts"]["host"]) == (
        "allow",
        "hosts-of-the-profile",
        "example.com:443",
    )
    assert run("web", "--connect", "example.com").exit_code == ExitCode.USAGE
    assert run("web", "--connect", "http://example.com").exit_code == ExitCode.USAGE


def test_the_command_line_says_when_the_server_s_list_decides_already(tmp_path: Path) -> None:
    (tmp_path / "muxi.yaml").write_text("servers: {shell: {network: {allow: ['*.example.com']}}}")

    def said(place: str) -> str:
        return (
            CliRunner()
            .invoke(program, ["--home", str(tmp_path), "policy", "explain", "shell", "--connect", place])
            .stdout
        )

    assert "refused before any rule" in said("example.com:443")
    assert "refused before any rule" not in said("A.Example.com.:443")
