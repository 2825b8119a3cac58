"""Logging in at a server elsewhere: a real authorization server, the SDK's own server behind it, a user of the gateway."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
from authorization_server import answered
from login_scene import SERVER, LoginScene, login_scene

pytestmark = [
    pytest.mark.promise("upstream-tokens-stay-apart"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
    pytest.mark.timeout(120),
]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[LoginScene]:
    async with login_scene(tmp_path / "home") as opened:
        yield opened


async def test_who_is_not_logged_in_is_told_the_command_and_then_is(scene: LoginScene):
    assert "servers login far" in scene.gateway.runtime.tools.servers[SERVER].error
    begun = (await scene.begin(None)).json()
    assert answered(begun["url"], "code_challenge_method") == "S256"
    assert answered(begun["url"], "resource") == scene.upstream.url
    told = await scene.log_in(None, "ada")
    assert told["user"] == "local"
    assert set(told["scopes"]) >= {"call"}
    assert told["renews"]
    assert scene.gateway.runtime.tools.servers[SERVER].error == ""
    assert await scene.call(None) == "ada"


async def test_two_users_are_who_they_logged_in_as_and_a_third_is_lent_neither(scene: LoginScene):
    for user in ("ada", "bob"):
        await scene.log_in(user, f"{user}-there")
    assert [await scene.call("ada"), await scene.call("bob")] == ["ada-there", "bob-there"]
    scene.upstream.shown.clear()
    refused = await scene.refusal("cyd")
    assert "'cyd' is not logged in at server 'far'" in refused.error.message
    assert refused.error.data["kind"] == "login"
    assert refused.error.data["remedy"] == "muxi-runtime servers login far"
    assert set(scene.upstream.shown) == {None}


async def test_a_token_that_has_run_out_is_renewed_once_for_all_and_the_old_refresh_token_is_spent(scene: LoginScene):
    await scene.log_in("ada")
    before = scene.stored("ada")
    scene.expire("ada")
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(scene.call, "ada")
    after = scene.stored("ada")
    assert after.access_token != before.access_token
    assert after.refresh_token not in {None, before.refresh_token}
    assert after.expires_at > time.time()
    assert [event.kind for event in scene.events()].count("login.renewed") == 1


async def test_a_token_that_is_refused_in_time_is_renewed_and_the_call_goes_on(scene: LoginScene):
    await scene.log_in("ada")
    scene.upstream.refused.add(scene.stored("ada").access_token)
    assert await scene.call("ada") == "ada"


async def test_what_was_revoked_is_over_and_a_new_login_helps(scene: LoginScene):
    await scene.log_in("ada")
    login = scene.stored("ada")
    async with httpx2.AsyncClient() as http:
        fields = {"token": login.refresh_token, "client_id": login.client.id}
        await http.post(login.revocation_endpoint, data=fields)
    scene.expire("ada")
    assert "servers login far" in (await scene.refusal("ada")).error.message
    assert await state_of(scene, "ada") == "over"
    assert scene.stored("ada").refresh_token is None
    await scene.log_in("ada")
    assert (await scene.call("ada"), await state_of(scene, "ada")) == ("ada", "ok")


async def test_a_logout_holds_at_once_and_the_server_forgets_the_tokens_too(scene: LoginScene):
    await scene.log_in("ada")
    login = scene.stored("ada")
    assert await scene.call("ada") == "ada"
    async with scene.gateway.http(scene.key("ada")) as http:
        assert (await http.delete("/control/servers/far/login")).json()["was_in"]
        assert not (await http.delete("/control/servers/far/login")).json()["was_in"]
    assert "not logged in" in (await scene.refusal("ada")).error.message
    async with httpx2.AsyncClient() as http:
        fields = {"grant_type": "refresh_token", "refresh_token": login.refresh_token, "client_id": login.client.id}
        answer = await http.post(login.token_endpoint, data=fields)
    assert answer.json()["error"] == "invalid_grant"


async def test_more_scopes_are_asked_for_with_what_was_granted_before(tmp_path: Path):
    async with login_scene(tmp_path / "home") as scene:
        await scene.log_in("ada")
        scene.upstream.wants = "write"
        refused = (await scene.refusal("ada")).error
        assert refused.data["remedy"] == "muxi-runtime servers login far --scope write"
        begun = (await scene.begin("ada")).json()
        assert set(begun["scopes"]) >= {"call", "write"}
        await scene.log_in("ada")
        assert set(scene.stored("ada").scopes) >= {"call", "write"}
        assert await scene.call("ada") == "ada"


async def test_the_runtime_has_tokens_of_its_own_by_a_secret_of_the_vault(tmp_path: Path):
    async with login_scene(tmp_path / "home", machine=True) as scene:
        assert scene.gateway.runtime.tools.servers[SERVER].error == ""
        assert await scene.call("ada") == "robot"
        refused = await scene.begin("ada")
        assert (refused.status_code, refused.json()["error"]) == (409, "refused")
        assert [event.data["user"] for event in scene.events()] == [None]


async def state_of(scene: LoginScene, user: str) -> str | None:
    async with scene.gateway.http(scene.key(user)) as http:
        servers = {server["name"]: server for server in (await http.get("/control/servers")).json()["servers"]}
    return servers[SERVER].get("login", {}).get("state")
