"""Logins at a server elsewhere: a real authorization server, the SDK's own server behind it, users of the gateway."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from authorization_server import answered, log_in
from login_scene import SERVER, LoginScene, login_scene

from muxi_runtime.catalog.manifest import Install
from muxi_runtime.catalog.sources import parse_source
from muxi_runtime.gateway.credentials import NoCredentials
from muxi_runtime.gateway.logins.kept import KeptLogins
from muxi_runtime.installing.installer import Installer, Wish
from muxi_runtime.installing.settings import InstallSettings
from muxi_sandbox.fake import FakeBackend

pytestmark = [
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
    assert "servers login far" in (await part(scene, "logins"))["cure"]
    told = await scene.log_in(None, "ada")
    assert told["user"] == "local"
    assert await part(scene, "logins") is None
    assert set(told["scopes"]) >= {"call"}
    assert told["renews"]
    assert scene.gateway.runtime.tools.servers[SERVER].error == ""
    assert await scene.call(None) == "ada"


@pytest.mark.promise("upstream-tokens-stay-apart")
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


@pytest.mark.promise("upstream-tokens-stay-apart")
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


@pytest.mark.promise("upstream-tokens-stay-apart")
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


async def test_a_login_that_is_taken_out_while_it_is_renewed_stays_out(scene: LoginScene):
    await scene.log_in("ada")
    with scene.store() as store:
        document = store.get(SERVER, "ada")
        assert store.forget(SERVER, "ada")
        assert not store.put(SERVER, "ada", document, instead_of=document)
        assert store.get(SERVER, "ada") is None


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


@pytest.mark.parametrize("client", ["robot", "signer"])
async def test_the_runtime_has_tokens_of_its_own_by_a_secret_or_by_a_key(tmp_path: Path, client: str):
    async with login_scene(tmp_path / "home", machine=client) as scene:
        assert scene.gateway.runtime.tools.servers[SERVER].error == ""
        assert await scene.call("ada") == client
        refused = await scene.begin("ada")
        assert (refused.status_code, refused.json()["error"]) == (409, "refused")
        assert [event.data["user"] for event in scene.events()] == [None]


async def part(scene: LoginScene, name: str) -> dict[str, Any] | None:
    """What `status` says of one."""
    async with scene.gateway.http() as http:
        found = (await http.get("/control/status")).json()["components"]
    return next((component for component in found if component["name"] == name), None)


async def state_of(scene: LoginScene, user: str) -> str | None:
    async with scene.gateway.http(scene.key(user)) as http:
        servers = {server["name"]: server for server in (await http.get("/control/servers")).json()["servers"]}
    return servers[SERVER].get("login", {}).get("state")


async def test_the_command_waits_for_the_browser_and_says_who_is_logged_in(scene: LoginScene):
    async with command(scene, "login", "far", "--no-browser", "--json") as process:
        lines = TextReceiveStream(process.stderr)
        told = ""
        while "state=" not in told or not told.endswith("\n"):
            told += await lines.receive()
        url = told.split()[-1]
        assert told.startswith(f"Log in at {scene.upstream.issuer}:\n")
        back = await log_in(url, "ada-there")
        async with httpx2.AsyncClient() as browser:
            stray = back.replace(answered(back, "state"), "another")
            assert (await browser.get(stray)).status_code == 404
            assert "Go back to the terminal" in (await browser.get(back)).text
        document = json.loads(await TextReceiveStream(process.stdout).receive())
    assert process.returncode == 0
    assert (document["user"], document["server"], document["renews"]) == ("ada", "far", True)
    assert scene.stored("ada").access_token not in json.dumps(document)
    assert await scene.call("ada") == "ada-there"
    async with command(scene, "logout", "far") as process:
        said = await TextReceiveStream(process.stdout).receive()
    assert said == "ada is logged out of far.\n"


async def test_a_server_is_added_before_anybody_has_logged_in_and_its_tools_wait(scene: LoginScene, tmp_path: Path):
    source = parse_source(scene.upstream.url)
    installer = Installer(
        FakeBackend({}), NoShelf(), InstallSettings(), scratch=tmp_path, certificates=b"", grant=lambda given: given
    )
    candidate = await installer.candidate(Wish("tickets", source, Install(source=str(source))), {}, lambda _: None)
    assert candidate.definitions == []
    assert "servers login tickets" in candidate.notes[0]
    assert "pins accept tickets" in candidate.notes[0]


async def test_commands_ask_a_server_with_the_login_that_lists_its_tools(scene: LoginScene):
    await scene.log_in("ada")
    token = scene.stored("ada").access_token
    with scene.store() as store:
        kept = KeptLogins(NoCredentials(), store, scene.upstream.url)
        assert await kept.headers_for(SERVER, None) == {"Authorization": f"Bearer {token}"}
        assert await KeptLogins(NoCredentials(), store, "https://tools.example/mcp").headers_for(SERVER, None) == {}
        scene.expire("ada")
        assert await kept.headers_for(SERVER, None) == {}


class NoShelf:
    """An `ImageShelf` without images: a server elsewhere has none."""

    async def ensure(self, name: str, progress: object) -> str:
        raise NotImplementedError(name)

    add = fetch = ensure


@asynccontextmanager
async def command(scene: LoginScene, *words: str) -> AsyncIterator[Process]:
    """`muxi-runtime servers` as `ada`, in a process of its own."""
    where = ("--url", scene.gateway.url.removesuffix("/mcp"))
    started = [sys.executable, "-W", "ignore", "-m", "muxi_runtime", "servers", *words, *where]
    environment = {**os.environ, "MUXI_KEY": scene.key("ada"), "MUXI_HOME": str(scene.home)}
    async with await anyio.open_process(started, env=environment) as process:
        with anyio.fail_after(60):
            yield process
            await process.wait()
