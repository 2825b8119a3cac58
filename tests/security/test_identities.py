"""Roles, scopes and users: what each may do at every address, and at the door."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import MCPError
from sqlalchemy import Engine
from starlette.routing import Route

from muxi_runtime.errors import IdentityError
from muxi_runtime.gateway.http_auth import Challenge
from muxi_runtime.gateway.route_access import OPEN, ROUTES, guarded
from muxi_runtime.identity.access import may
from muxi_runtime.identity.keys import KeyRefusedError, KeyStore
from muxi_runtime.identity.principal import LOCAL, Principal
from muxi_runtime.identity.roles import ACTIONS, Action, Role
from muxi_runtime.identity.scopes import covers_call, parse_scopes
from muxi_runtime.identity.users import UserStore
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.journal.read import tail
from muxi_runtime.store.engine import open_store

pytestmark = pytest.mark.promise("identities-are-separate")

PAGE = Path(__file__).parents[2] / "docs" / "identities.md"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
ASKS = """
@id("all") permit (principal, action, resource);
@id("asks") @decision("ask")
forbid (principal, action == Action::"call_tool", resource == Tool::"demo.echo") when { principal.role != "owner" };
@id("staff-only")
forbid (principal, action == Action::"call_tool", resource == Tool::"demo.danger")
unless { principal in Group::"staff" && !(context has scopes && context.scopes.contains("call:demo")) };
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    rules = {"rules": ASKS, "approval_wait_seconds": 0.1}
    async with open_gateway(tmp_path / "home", require_key="always", **rules) as opened:
        yield opened


@pytest.fixture
def stores(tmp_path: Path):
    engine = open_store(tmp_path / "store")
    yield UserStore(engine), KeyStore(engine)
    engine.dispose()


def engine_of(gateway: Gateway) -> Engine:
    return gateway.runtime.keys._engine  # noqa: SLF001 - the same database


def users_of(gateway: Gateway) -> UserStore:
    return UserStore(engine_of(gateway))


def key_of(gateway: Gateway, role: Role, *scopes: str) -> str:
    name = f"a-{role.value}"
    users = users_of(gateway)
    if users.find(name) is None:
        users.add(name, role)
    return gateway.runtime.keys.create(name, scopes=scopes or None)[1]


def routes_of(gateway: Gateway) -> set[tuple[str, str]]:
    """Every address of the running application but the MCP endpoint's."""
    return {
        (method, route.path)
        for route in gateway.runtime.app.routes
        if route.path not in OPEN and not route.path.startswith(("/mcp", "/.well-known"))
        for method in route.methods - {"HEAD"}
    }


async def test_every_address_says_what_it_needs_and_nothing_else_does(gateway: Gateway):
    assert routes_of(gateway) == set(ROUTES)


@pytest.mark.parametrize("role", list(Role))
async def test_every_address_takes_the_roles_that_the_table_names_and_no_other(gateway: Gateway, role: Role):
    async with gateway.http(key_of(gateway, role)) as http:
        for (method, path), action in ROUTES.items():
            answer = await http.request(method, re.sub(r"\{\w+\}", "nothing", path))
            allowed = role in ACTIONS[action].roles
            assert (answer.status_code != 403) is allowed, (method, path, answer.text)
            if not allowed:
                assert f"role '{role.value}'" in answer.json()["error_description"]


@pytest.mark.parametrize("role", list(Role))
async def test_the_mcp_endpoint_takes_who_may_call(gateway: Gateway, role: Role):
    async with gateway.http(key_of(gateway, role), HEADERS) as http:
        for path in ("/mcp", "/mcp/demo", "/mcp/nothing"):
            answer = await http.post(path, json=LIST)
            assert (answer.status_code == 403) is (role is Role.AUDITOR), answer.text


async def test_an_address_that_no_table_names_is_refused():
    async def secret(_request):
        raise AssertionError("it was reached")

    async with MemoryJournal() as journal:
        route = guarded([Route("/control/new", secret, methods=["GET", "POST"])], journal, Challenge())[0]
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(route), base_url="http://x") as http:
            for method in ("GET", "HEAD", "POST"):
                assert (await http.request(method, "/control/new")).status_code == 403


async def test_who_is_refused_stands_in_the_journal(gateway: Gateway):
    async with gateway.http(key_of(gateway, Role.AUDITOR)) as http:
        assert (await http.put("/control/servers")).status_code == 403
    found = [event for event in tail(engine_of(gateway), 100) if event.kind == "access.refused"]
    assert found[0].data["path"] == "/control/servers"
    assert found[0].principal.startswith("a-auditor/")


def test_the_page_shows_the_table():
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|(.+)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    shown = {
        name: (frozenset(role for role, cell in zip(Role, cells.split("|")[:5], strict=True) if cell.strip() == "yes"),
               tuple(re.findall(r"`(\w+)`", cells.split("|")[5])))
        for name, _, cells in rows
    }  # fmt: skip
    assert shown == {action.value: (grant.roles, grant.scopes) for action, grant in ACTIONS.items()}


@pytest.mark.parametrize(
    ("scopes", "able"),
    [
        (("read",), {Action.WHOAMI, Action.SEE_TOOLS, Action.STATUS, Action.ALL_TASKS}),
        (
            ("call:demo.add",),
            {
                Action.WHOAMI,
                Action.SEE_TOOLS,
                Action.CALL,
                Action.APPROVE,
                Action.APPROVALS,
                Action.OWN_TASKS,
                Action.LOGINS,
            },
        ),
        (
            ("admin",),
            {Action.WHOAMI, Action.END_TASKS, Action.SERVERS, Action.POLICY, Action.APPROVALS, Action.ALL_APPROVALS},
        ),
        ((), {Action.WHOAMI}),
        (None, set(Action)),
    ],
)
def test_scopes_take_from_what_a_role_allows(scopes, able):
    principal = Principal("ada", "k", Role.OWNER, scopes=None if scopes is None else parse_scopes(scopes))
    assert {action for action in Action if may(principal, action)} == able


def test_scopes_never_add_to_a_role():
    for role in Role:
        for action, grant in ACTIONS.items():
            principal = Principal("ada", "k", role, scopes=frozenset({"read", "call", "admin"}))
            assert may(principal, action) is (role in grant.roles)


@pytest.mark.parametrize(
    ("scope", "server", "tool", "covered"),
    [
        ("call", "demo", "add", True),
        ("call:demo", "demo", "add", True),
        ("call:demo", "demo", None, True),
        ("call:demo.*", "demo", "add", True),
        ("call:demo.add", "demo", "add", True),
        ("call:demo.add", "demo", None, False),
        ("call:demo.add", "demo", "add2", False),
        ("call:demo", "demo2", "add", False),
        ("call:demo.a.b", "demo", "a.b", True),
        ("call:demo.add", "demo", "*", False),
        ("read", "demo", "add", False),
        ("admin", "demo", "add", False),
    ],
)
def test_a_scope_covers_what_it_names(scope, server, tool, covered):
    assert covers_call(parse_scopes([scope]), server, tool) is covered


@pytest.mark.parametrize(
    "scope", ["", "Call", "call:", "call:a b", "call:demo.", "*", "write", "call:a.b c", 'call:a."']
)
def test_what_is_no_scope_is_refused(scope):
    with pytest.raises(ValueError, match="no scope"):
        parse_scopes([scope])


async def test_a_key_calls_only_what_its_scopes_name_in_either_era(gateway: Gateway):
    users_of(gateway).add("ada", Role.OWNER, ["staff"])
    token = gateway.runtime.keys.create("ada", scopes=["call:demo.echo"])[1]
    for mode in ("legacy", "2026-07-28"):
        async with gateway.client(key=token, mode=mode) as client:
            assert (await client.call_tool("demo__echo", {"text": "x"})).content[0].text == "x"
            with pytest.raises(MCPError) as caught:
                await client.call_tool("demo__danger", {})
            assert "'call:demo.danger'" in caught.value.error.message
            assert caught.value.error.data["scope"] == "call:demo.danger"


async def test_a_key_to_read_does_not_reach_the_endpoint_and_is_told_the_scope(gateway: Gateway):
    async with gateway.http(key_of(gateway, Role.OWNER, "read"), HEADERS) as http:
        answer = await http.post("/mcp", json=LIST)
        assert answer.status_code == 403
        assert answer.json()["error"] == "insufficient_scope"
        assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="call"'
        assert (await http.get("/control/status")).status_code == 200
        assert (await http.put("/control/servers")).status_code == 403


async def test_a_service_is_never_asked_for_approval(gateway: Gateway):
    asked = []

    async def approve(*arguments):
        asked.append(arguments)
        raise AssertionError("it was asked")

    token = key_of(gateway, Role.SERVICE)
    for mode in ("legacy", "2026-07-28"):
        async with gateway.client(key=token, mode=mode, elicitation_callback=approve) as client:
            with pytest.raises(MCPError, match="approvals allow") as refused:
                await client.call_tool("demo__echo", {"text": "x"})
    assert asked == []
    path = f"/control/approvals/{refused.value.error.data['approval']}"
    for role, scopes, status in (
        (Role.SERVICE, (), 403),
        (Role.AUDITOR, (), 403),
        (Role.USER, (), 404),
        (Role.OPERATOR, ("call",), 404),
        (Role.OPERATOR, ("admin",), 200),
    ):
        async with gateway.http(key_of(gateway, role, *scopes)) as http:
            assert (await http.post(path, json={"allow": True})).status_code == status, (role, scopes)
    async with gateway.client(key=token, mode=mode) as client:
        assert (await client.call_tool("demo__echo", {"text": "x"})).content[0].text == "x"


async def test_rules_see_role_group_and_scopes_as_they_are_at_each_call(gateway: Gateway):
    users = users_of(gateway)
    users.add("ada", Role.USER)
    key, narrow = (gateway.runtime.keys.create("ada", scopes=scopes)[1] for scopes in (None, ["call:demo"]))
    async with gateway.client(key=key) as client, gateway.client(key=narrow) as other:
        for mine, groups, allowed in ((client, False, False), (client, True, True), (other, True, False)):
            users.set("ada", join=["staff"] if groups else (), leave=() if groups else ["staff"])
            if allowed:
                assert (await mine.call_tool("demo__danger", {})).is_error is not True
            else:
                with pytest.raises(MCPError, match="staff-only"):
                    await mine.call_tool("demo__danger", {})


async def test_a_changed_or_disabled_user_is_another_from_the_next_request_on(gateway: Gateway):
    users, token = users_of(gateway), key_of(gateway, Role.OPERATOR)
    async with gateway.http(token) as http:
        assert (await http.get("/control/all-tasks")).status_code == 200
        users.set("a-operator", role=Role.USER)
        assert (await http.get("/control/all-tasks")).status_code == 403
        users.disable("a-operator")
        answer = await http.get("/control/whoami")
        assert answer.status_code == 401
        assert "disabled" in answer.json()["error_description"]
        users.enable("a-operator")
        assert (await http.get("/control/whoami")).json()["role"] == "user"
        users.remove("a-operator")
        assert (await http.get("/control/whoami")).status_code == 401


async def test_an_operator_ends_anybodys_task_and_a_user_only_their_own(gateway: Gateway):
    async with gateway.client(key=key_of(gateway, Role.USER)) as client:
        with pytest.raises(MCPError):  # asked for, and nobody to ask; the task is open
            await client.call_tool("demo__echo", {"text": "x"})
        task = gateway.runtime.tasks.all()[0].id
        async with gateway.http(key_of(gateway, Role.SERVICE)) as http:
            assert (await http.delete(f"/control/tasks/{task}")).status_code == 404
            assert (await http.delete(f"/control/all-tasks/{task}")).status_code == 403
        async with gateway.http(key_of(gateway, Role.OPERATOR)) as http:
            assert [one["task"] for one in (await http.get("/control/all-tasks")).json()["tasks"]] == [task]
            assert (await http.get(f"/control/tasks/{task}/files")).status_code == 404
            assert (await http.delete(f"/control/all-tasks/{task}")).status_code == 200


async def test_the_loopback_caller_without_a_key_is_local_and_an_owner(tmp_path: Path):
    async with open_gateway(tmp_path / "home") as gateway, gateway.http() as http:
        told = (await http.get("/control/whoami")).json()
        assert told == {"user": "local", "key": None, "role": "owner", "groups": [], "scopes": None}
        for method, path in ROUTES:
            answer = await http.request(method, re.sub(r"\{\w+\}", "nothing", path))
            assert answer.status_code not in {401, 403}, (method, path)


def test_the_local_user_stays_an_owner(stores):
    users, keys = stores
    keys.create("local")
    for change in (users.remove, users.disable, lambda name: users.set(name, role=Role.USER)):
        with pytest.raises(IdentityError, match="always an owner"):
            change("local")
    assert users.get("local").role is Role.OWNER
    assert LOCAL.role is Role.OWNER
    assert users.set("local", join=["staff"]).groups == {"staff"}


def test_the_name_of_a_removed_user_is_not_given_again(stores):
    users, keys = stores
    users.add("ada", Role.OPERATOR)
    token = keys.create("ada")[1]
    users.remove("ada")
    with pytest.raises(KeyRefusedError, match="revoked"):
        keys.authenticate(token)
    for again in (lambda: users.add("ada"), lambda: keys.create("ada"), lambda: users.enable("ada")):
        with pytest.raises(IdentityError, match="another name"):
            again()
    assert [user.name for user in users.list()] == ["local"]


def test_a_key_that_was_made_for_a_new_name_makes_a_mere_user(stores):
    users, keys = stores
    principal = keys.authenticate(keys.create("ada")[1])
    assert (principal.role, principal.groups, principal.scopes) == (Role.USER, frozenset(), None)
    assert users.get("ada").role is Role.USER


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "a" * 65, "a:b", "a\n", "é"])
def test_what_is_no_name_is_refused(stores, name):
    users, _ = stores
    with pytest.raises(ValueError, match="name"):
        users.add(name)
    with pytest.raises(ValueError, match="name"):
        users.add("ada", groups=[name])


def test_the_owner_of_a_task_that_outlived_the_runtime_has_the_role_and_scopes_of_now(stores):
    users, keys = stores
    users.add("bot", Role.SERVICE, ["robots"])
    record, _ = keys.create("bot", scopes=["call:demo"])
    users.set("bot", role=Role.USER)
    found = keys.known("bot", record.id)
    assert found == Principal("bot", record.id)
    assert (found.role, found.groups, found.scopes) == (Role.USER, {"robots"}, {"call:demo"})
    assert keys.known("local", None) is LOCAL
    assert keys.known("gone", "o-1").role is Role.USER
