"""A call that wants a login sends its user to the browser: clients of both eras, a real authorization server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import mcp_types as types
import pytest
from authorization_server import log_in
from login_scene import LoginScene, login_scene
from mcp import MCPError

from muxi_runtime.gateway.logins import visits
from muxi_runtime.identity.roles import Role

pytestmark = [
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
    pytest.mark.timeout(120),
]

BY_URL = types.ClientCapabilities(elicitation=types.ElicitationCapability(url=types.UrlElicitationCapability()))


@asynccontextmanager
async def listed_scene(home: Path, **options: Any) -> AsyncIterator[LoginScene]:
    """Somebody has logged in before, so that the tools are known; nobody else has."""
    async with login_scene(home, **options) as scene:
        scene.gateway.runtime.keys.users.add("first", Role.USER)
        await scene.log_in("first")
        yield scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[LoginScene]:
    async with listed_scene(tmp_path / "home") as opened:
        yield opened


class Browser:
    """Cookies and forms; it stays where it is sent to."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def begin(self, url: str, key: str = "", **headers: str) -> httpx2.Response:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        return await self.http.post(url, data={"key": key}, headers={"Origin": origin, **headers})

    async def whole(self, url: str, name: str, key: str = "") -> httpx2.Response:
        """The whole way, as `name` at the authorization server."""
        shown = await self.http.get(url)
        assert shown.status_code == 200
        begun = await self.begin(url, key)
        assert begun.status_code == 303, begun.text
        return await self.http.get(await log_in(begun.headers["location"], name))


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with httpx2.AsyncClient(timeout=20) as http:
        yield Browser(http)


async def offered(scene: LoginScene, user: str | None) -> dict[str, Any]:
    """What a legacy client is told."""
    async with legacy(scene, user) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("far__whoami", {})
    assert refused.value.error.code == types.URL_ELICITATION_REQUIRED
    return dict(refused.value.error.data["elicitations"][0])


@asynccontextmanager
async def legacy(scene: LoginScene, user: str | None, **options: Any) -> AsyncIterator[Any]:
    async def asked(_context: Any, _params: Any) -> Any:
        raise AssertionError("nobody asks in mid-call")

    key = scene.key(user) if user else None
    async with scene.gateway.client(key=key, mode="legacy", elicitation_callback=asked, **options) as client:
        yield client


async def test_a_modern_client_is_sent_to_the_browser_and_its_call_is_made(scene: LoginScene):
    seen: list[str] = []

    async def asked(_context: Any, params: Any) -> types.ElicitResult:
        assert params.mode == "url"
        assert params.elicitation_id is None
        seen.append(params.url)
        async with browser() as there:
            done = await there.whole(params.url, "ada-there", scene.key("ada"))
        assert "ada is logged in at far" in done.text
        return types.ElicitResult(action="accept")

    async with scene.gateway.client(key=scene.key("ada"), elicitation_callback=asked) as client:
        result = await client.call_tool("far__whoami", {})
    assert result.content[0].text == "ada-there"
    assert len(seen) == 1


async def test_its_call_waits_until_its_user_is_back(scene: LoginScene):
    sent: list[str] = []
    async with anyio.create_task_group() as group, browser() as there:

        async def asked(_context: Any, params: Any) -> types.ElicitResult:
            if not sent:
                group.start_soon(there.whole, params.url, "ada-there", scene.key("ada"))
            sent.append(params.url)  # it may be asked again meanwhile, and always for the same address
            return types.ElicitResult(action="accept")

        async with scene.gateway.client(key=scene.key("ada"), elicitation_callback=asked) as client:
            result = await client.call_tool("far__whoami", {})
    assert result.content[0].text == "ada-there"
    assert len(set(sent)) == 1


async def test_a_user_who_does_not_want_to_is_told_the_command(scene: LoginScene):
    async def asked(_context: Any, _params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="decline")

    async with scene.gateway.client(key=scene.key("ada"), elicitation_callback=asked) as client:
        with pytest.raises(MCPError, match="servers login far"):
            await client.call_tool("far__whoami", {})


async def test_a_legacy_client_gets_the_address_and_is_told_when_it_is_done(scene: LoginScene):
    told: list[str] = []
    done = anyio.Event()

    async def noted(message: Any) -> None:
        found = getattr(message, "root", message)
        if getattr(found, "method", "") == "notifications/elicitation/complete":
            told.append(found.params.elicitation_id)
            done.set()

    async with legacy(scene, "ada", message_handler=noted) as client, browser() as there:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("far__whoami", {})
        asked = refused.value.error.data["elicitations"][0]
        assert asked["mode"] == "url"
        await there.whole(asked["url"], "ada-there", scene.key("ada"))
        with anyio.fail_after(20):
            await done.wait()
        result = await client.call_tool("far__whoami", {})
    assert told == [asked["elicitationId"]]
    assert result.content[0].text == "ada-there"


async def test_who_needs_no_key_is_logged_in_without_one(scene: LoginScene):
    asked = await offered(scene, None)
    async with browser() as there:
        assert "password" not in (await there.http.get(asked["url"])).text
        done = await there.whole(asked["url"], "somebody")
    assert "local is logged in at far" in done.text
    assert await scene.call(None) == "somebody"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_cannot_do_that_gets_the_command(scene: LoginScene, mode: str):
    async with scene.gateway.client(key=scene.key("ada"), mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("far__whoami", {})
    assert refused.value.error.data["kind"] == "login"
    assert "servers login far" in refused.value.error.data["remedy"]


@pytest.mark.promise("upstream-tokens-stay-apart")
async def test_another_user_s_key_does_not_begin_it(scene: LoginScene):
    asked = await offered(scene, "ada")
    async with browser() as there:
        refused = await there.begin(asked["url"], scene.key("bob"))
        assert refused.status_code == 403
        assert "somebody else" in refused.text
        assert (await there.begin(asked["url"], "")).status_code == 403
        assert (await there.begin(asked["url"], "muxi_wrong")).status_code == 401
        # It was not used up: ada can still begin.
        assert (await there.begin(asked["url"], scene.key("ada"))).status_code == 303


@pytest.mark.promise("upstream-tokens-stay-apart")
async def test_what_another_browser_brings_back_does_not_count(scene: LoginScene):
    asked = await offered(scene, "ada")
    async with browser() as there, browser() as elsewhere:
        begun = await there.begin(asked["url"], scene.key("ada"))
        back = await log_in(begun.headers["location"], "mallory")
        refused = await elsewhere.http.get(back)
        assert refused.status_code == 409
        assert "No login has begun in this browser" in refused.text
    assert not scene_knows(scene, "ada")


@pytest.mark.promise("upstream-tokens-stay-apart")
async def test_a_code_of_another_login_does_not_count(scene: LoginScene):
    asked, other = await offered(scene, "ada"), await offered(scene, "bob")
    async with browser() as adas, browser() as bobs:
        await adas.begin(asked["url"], scene.key("ada"))
        begun = await bobs.begin(other["url"], scene.key("bob"))
        back = await log_in(begun.headers["location"], "bob-there")
        assert (await adas.http.get(back)).status_code == 409
    assert not scene_knows(scene, "ada")


async def test_an_address_counts_once(scene: LoginScene):
    asked = await offered(scene, "ada")
    async with browser() as there:
        await there.whole(asked["url"], "ada-there", scene.key("ada"))
        assert (await there.http.get(asked["url"])).status_code == 404
        assert (await there.begin(asked["url"], scene.key("ada"))).status_code == 404


@pytest.mark.promise("no-other-site")
async def test_a_page_of_another_site_does_not_begin_it(scene: LoginScene):
    asked = await offered(scene, None)
    async with browser() as there:
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
            assert (await there.begin(asked["url"], Origin=origin)).status_code == 403
        assert (await there.http.post(asked["url"])).status_code == 403


async def test_pages_stand_in_no_frame_load_nothing_and_are_not_kept(scene: LoginScene):
    asked = await offered(scene, "ada")
    async with browser() as there:
        shown = await there.http.get(asked["url"])
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert shown.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|src=|@import", shown.text)


async def test_a_service_is_not_sent_to_a_browser(scene: LoginScene):
    scene.gateway.runtime.keys.users.add("robot", Role.SERVICE)
    async with legacy(scene, "robot") as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("far__whoami", {})
    assert refused.value.error.data["kind"] == "login"


async def test_one_user_holds_only_so_many_addresses(scene: LoginScene):
    first = await offered(scene, "ada")
    for _ in range(visits.MOST_EACH):
        await offered(scene, "ada")
    async with browser() as there:
        assert (await there.http.get(first["url"])).status_code == 404


async def test_neither_address_nor_key_is_in_the_journal(scene: LoginScene):
    asked = await offered(scene, "ada")
    async with browser() as there:
        await there.whole(asked["url"], "ada-there", scene.key("ada"))
    text = json.dumps([dict(event.data) for event in scene.events()])
    assert "login.completed" in {event.kind for event in scene.events()}
    assert asked["url"].rpartition("/")[2] not in text
    assert scene.key("ada") not in text


def scene_knows(scene: LoginScene, user: str) -> bool:
    with scene.store() as store:
        return store.get("far", user) is not None
