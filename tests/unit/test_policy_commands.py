from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import program

CASES = """
cases:
  - name: code runs
    tool: code.run_python
    built_in: true
    arguments: {source: print(1)}
    expect: allow
    rule: built-in-tools
  - {tool: added.drop, user: ada, annotations: {destructiveHint: true}, expect: ask}
"""


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(program, ["--home", str(tmp_path), *map(str, arguments)])

    return run


def test_check_lists_the_rules(run):
    result = run("policy", "check", "--json")
    assert result.exit_code == ExitCode.OK
    found = json.loads(result.stdout)
    assert found["ok"]
    assert {rule["effect"] for rule in found["rules"]} == {"permit", "ask", "forbid"}


def test_check_of_a_wrong_file_names_the_line_and_fails(run, tmp_path):
    (tmp_path / "own.cedar").write_text('\n@id("x") permit (principal, action, resource) when { context.nope };')
    result = run("policy", "check", tmp_path / "own.cedar")
    assert result.exit_code == ExitCode.CONFIGURATION
    assert "own.cedar:2: rule 'x': attribute `nope`" in result.stdout


def test_the_files_of_the_configuration_are_used(run, tmp_path):
    (tmp_path / "own.cedar").write_text('@id("none") forbid (principal, action, resource);')
    (tmp_path / "muxi.yaml").write_text("policy:\n  files: [default, own.cedar]\n")
    found = json.loads(run("policy", "explain", "code.run_python", "--built-in", "--json").stdout)
    assert (found["effect"], found["rule"]) == ("deny", "none")
    assert {change["what"] for change in found["changes"]} == {"without the rule 'none'"}


SERVER = """
name: pay
image: build:python
command: [python3]
profile:
  network: {allow: ["api.example.org:443", "other.example.org:443"]}
  secrets: {API_KEY: {hosts: [api.example.org]}, OPEN_KEY: {expose: env}}
"""


@pytest.mark.parametrize(
    ("secret", "place", "rest", "decided", "note"),
    [
        ("API_KEY", "api.example.org:443", [], ("allow", "secrets-of-the-profile"), ""),
        ("API_KEY", "api.example.org:443", ["--user", "bob"], ("deny", "not-bob"), ""),
        ("API_KEY", "other.example.org:443", [], ("allow", "secrets-of-the-profile"), "does not name this host"),
        ("NO_KEY", "api.example.org:443", [], ("allow", "secrets-of-the-profile"), "has no secret 'NO_KEY'"),
        ("OPEN_KEY", "api.example.org:443", [], ("allow", "secrets-of-the-profile"), "in the server's environment"),
        ("API_KEY", "far.example.org:443", [], ("allow", "secrets-of-the-profile"), "does not have this host"),
    ],
)
def test_explain_answers_for_the_use_of_a_secret(run, tmp_path, secret, place, rest, decided, note):
    (tmp_path / "pay.yaml").write_text(SERVER)
    (tmp_path / "own.cedar").write_text(
        '@id("not-bob") forbid (principal == User::"bob", action == Action::"use_secret", resource);'
    )
    (tmp_path / "muxi.yaml").write_text(
        "policy:\n  files: [default, own.cedar]\nservers:\n  pay: {manifest: pay.yaml,"
        " network: {allow: ['api.example.org:443', 'other.example.org:443']}}\n"
    )
    result = run("policy", "explain", "pay", "--connect", place, "--secret", secret, *rest, "--json")
    found = json.loads(result.stdout)
    assert (found["effect"], found["rule"]) == decided
    assert (found["facts"]["secret"], found["facts"]["host"]) == (secret, place)
    shown = run("policy", "explain", "pay", "--connect", place, "--secret", secret, *rest).stdout
    assert note in shown
    assert ("whatever the rules say" in shown or "before any rule" in shown or "no rule is asked" in shown) is bool(
        note
    )


def test_a_secret_is_explained_for_a_host_only(run):
    result = run("policy", "explain", "pay", "--secret", "API_KEY")
    assert result.exit_code == ExitCode.USAGE
    assert "--connect HOST:PORT" in result.stderr


def test_explain_takes_what_the_runtime_last_heard_of_the_tool(run, tmp_path):
    tool = {"name": "look", "inputSchema": {}, "annotations": {"readOnlyHint": True}}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tools.json").write_text(json.dumps({"added": {"content": "x", "tools": [tool]}}))
    known = run("policy", "explain", "added.look", "--user", "ada", "--arg", "q=1")
    assert "allow" in known.stdout
    assert "not listed this tool yet" not in known.stdout
    unknown = run("policy", "explain", "added.other")
    assert "ask-before-destructive" in unknown.stdout
    assert "not listed this tool yet" in unknown.stdout
    hinted = json.loads(run("policy", "explain", "added.other", "--hint", "readOnlyHint=true", "--json").stdout)
    assert hinted["effect"] == "allow"


@pytest.mark.parametrize(
    "arguments", [["tool"], ["a.b", "--hint", "readOnly=true"], ["a.b", "--arg", "x"], ["a.b", "--json-arg", "x={"]]
)
def test_explain_refuses_what_it_cannot_read(run, arguments):
    assert run("policy", "explain", *arguments).exit_code == ExitCode.USAGE


def test_cases_pass_or_fail_each(run, tmp_path):
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES)
    result = run("policy", "test", cases)
    assert result.exit_code == ExitCode.OK, result.output
    assert "2 of 2 cases" in result.stdout
    cases.write_text(CASES.replace("expect: ask", "expect: deny"))
    result = run("policy", "test", cases, "--json")
    assert result.exit_code == ExitCode.FAILED
    assert [case["passed"] for case in json.loads(result.stdout)["cases"]] == [True, False]
    cases.write_text(CASES.replace("rule: built-in-tools", "rule: other"))
    assert run("policy", "test", cases).exit_code == ExitCode.FAILED
