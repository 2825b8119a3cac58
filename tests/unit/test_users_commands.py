from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import program
from muxi_runtime.errors import IdentityError, JournalError
from muxi_runtime.identity.roles import Role

RULES = """
@id("all") permit (principal, action, resource);
@id("owners") forbid (principal, action == Action::"call_tool", resource == Tool::"code.run")
unless { principal.role == "owner" || principal in Group::"staff" };
@id("narrow") forbid (principal, action == Action::"call_tool", resource)
when { context has scopes && context.scopes.contains("call:code") };
"""
CASES = """
cases:
  - {tool: code.run, expect: allow}
  - {tool: code.run, role: user, expect: deny, rule: owners}
  - {tool: code.run, user: ada, expect: deny, rule: owners}
  - {tool: code.run, user: ada, role: owner, expect: allow}
  - {tool: code.run, user: ada, groups: [staff, ops], expect: allow}
  - {tool: code.run, user: ada, groups: [staff], scopes: ["call:code"], expect: deny, rule: narrow}
"""


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(program, ["--home", str(tmp_path), *map(str, arguments)])

    return run


def told(run, *arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_a_user_is_added_changed_shown_and_removed(run, role):
    assert told(run, "users", "add", "ada", "--role", role, "--group", "staff")["role"] == role
    changed = told(run, "users", "set", "ada", "--role", "user", "--group", "ops", "--no-group", "staff")
    assert (changed["role"], changed["groups"], changed["state"]) == ("user", ["ops"], "active")
    assert told(run, "users", "set", "ada", "--issuer", "https://login.example.org")["issuer"]
    assert told(run, "users", "set", "ada", "--issuer", "")["issuer"] is None
    assert told(run, "users", "disable", "ada")["state"] == "disabled"
    assert told(run, "users", "enable", "ada")["state"] == "active"
    told(run, "keys", "create", "--user", "ada", "--name", "ci")
    assert [key["state"] for key in told(run, "users", "show", "ada")["keys"]] == ["active"]
    assert [user["user"] for user in told(run, "users", "list")["users"]] == ["ada", "local"]
    assert told(run, "users", "remove", "ada")["state"] == "removed"
    assert [user["user"] for user in told(run, "users", "list")["users"]] == ["local"]
    assert [key["state"] for key in told(run, "keys", "list")["keys"]] == ["revoked"]


def test_a_key_shows_its_scopes_and_a_wrong_one_is_refused(run):
    made = told(run, "keys", "create", "--scope", "call:files.*", "--scope", "read")
    assert made["scopes"] == ["call:files", "read"]
    assert told(run, "keys", "create")["scopes"] is None
    assert [key["scopes"] for key in told(run, "keys", "list")["keys"]] == [["call:files", "read"], None]
    result = run("keys", "create", "--scope", "everything")
    assert result.exit_code == ExitCode.USAGE
    assert "call:SERVER.TOOL" in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("add", "a b"), "cannot be a user's name"),
        (("add", "ada", "--group", "a/b"), "cannot be a group's name"),
        (("add", "ada", "--issuer", "login"), "is no issuer"),
        (("add", "ada", "--role", "root"), "not one of"),
    ],
)
def test_what_cannot_be_is_a_usage_error(run, arguments, text):
    result = run("users", *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert text in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("remove", "local"), "always an owner"),
        (("set", "local", "--role", "user"), "always an owner"),
        (("show", "eve"), "no user 'eve'"),
        (("disable", "eve"), "no user 'eve'"),
    ],
)
def test_what_may_not_be_changed_says_why(run, arguments, text):
    error = run("users", *arguments).exception
    assert isinstance(error, IdentityError)
    assert text in str(error)


def test_a_change_that_cannot_be_journalled_does_not_hold(run, tmp_path):
    told(run, "users", "add", "ada", "--group", "staff")
    for name in ("journal.head", "runtime.db"):
        assert (tmp_path / name).exists()
    (tmp_path / "journal.head").unlink()
    (tmp_path / "journal.head").mkdir()
    for arguments in (("set", "ada", "--role", "owner"), ("add", "eve", "--role", "owner")):
        assert isinstance(run("users", *arguments).exception, JournalError)
    shown = {user["user"]: (user["role"], user["groups"]) for user in told(run, "users", "list")["users"]}
    assert shown == {"ada": ("user", ["staff"]), "local": ("owner", [])}


def test_rules_are_tried_with_role_group_and_scopes(run, tmp_path):
    (tmp_path / "own.cedar").write_text(RULES)
    (tmp_path / "muxi.yaml").write_text("policy: {files: [own.cedar]}")
    (tmp_path / "cases.yaml").write_text(CASES)
    result = told(run, "policy", "test", tmp_path / "cases.yaml")
    assert [case["effect"] for case in result["cases"]] == ["allow", "deny", "deny", "allow", "allow", "deny"]
    for options, effect in (
        ((), "allow"),
        (("--user", "ada"), "deny"),
        (("--user", "ada", "--role", "owner"), "allow"),
        (("--user", "ada", "--group", "staff"), "allow"),
        (("--role", "user"), "deny"),
    ):
        assert told(run, "policy", "explain", "code.run", *options)["effect"] == effect
