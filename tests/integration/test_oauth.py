"""An MCP client, a real authorization server and the gateway: refused, told where to go, and let in with a token."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from authorization_server import answered, authorization_server, log_in
from gateway_harness import Gateway, open_gateway
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from muxi_runtime.identity.oauth.settings import AuthSettings, OAuthSettings
from muxi_runtime.identity.roles import Role

pytestmark = [
    pytest.mark.promise("tokens-are-checked"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]
CALLBACK = "http://127.0.0.1:9/callback"


@dataclass
class Memory:
    """Where a client keeps what it got."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    visited: list[str] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Scene:
    gateway: Gateway
    issuer: str

    @asynccontextmanager
    async def client(self, auth: httpx2.Auth, path: str = "") -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(auth=auth, timeout=20) as http,
            Client(streamable_http_client(self.gateway.url + path, http_client=http), cache=None) as client,
        ):
            yield client


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/mcp"
    with authorization_server(url) as issuer:
        oauth = OAuthSettings(issuer=issuer, audience=url, required_scopes=("call",))
        opened = open_gateway(tmp_path / "home", port=port, require_key="always", auth=AuthSettings(oauth=oauth))
        async with opened as gateway:
            yield Scene(gateway, issuer)


def person(scene: Scene, memory: Memory, user: str) -> OAuthClientProvider:
    """An MCP client with a browser: registers itself, then authorization code with PKCE."""

    async def open_browser(url: str) -> None:
        memory.visited.append(url)

    async def come_back() -> AuthorizationCodeResult:
        back = await log_in(memory.visited[-1], user)
        return AuthorizationCodeResult(
            code=answered(back, "code") or "", state=answered(back, "state"), iss=answered(back, "iss")
        )

    return OAuthClientProvider(
        server_url=scene.gateway.url,
        client_metadata=OAuthClientMetadata(
            client_name="desk",
            redirect_uris=[CALLBACK],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        ),
        storage=memory,
        redirect_handler=open_browser,
        callback_handler=come_back,
    )


def robot(scene: Scene, memory: Memory) -> ClientCredentialsOAuthProvider:
    return ClientCredentialsOAuthProvider(
        server_url=scene.gateway.url,
        storage=memory,
        client_id="robot",
        client_secret="robot-secret",
        scope="call read",
        issuer=scene.issuer,
    )


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def test_a_person_s_client_is_refused_finds_the_way_and_calls(scene: Scene):
    memory = Memory()
    async with scene.client(person(scene, memory, "ada")) as client:
        assert "demo__echo" in {tool.name for tool in (await client.list_tools()).tools}
        assert (await client.call_tool("demo__echo", {"text": "x"})).content[0].text == "x"
    assert len(memory.visited) == 1
    assert answered(memory.visited[0], "code_challenge_method") == "S256"
    assert answered(memory.visited[0], "resource") == scene.gateway.url
    assert claims_of(memory.tokens.access_token)["aud"] == scene.gateway.url
    async with scene.gateway.http(memory.tokens.access_token) as http:
        told = (await http.get("/control/whoami")).json()
        assert (told["user"], told["role"]) == ("ada", "user")
        assert (await http.get("/control/tasks")).json()["tasks"][0]["principal"].startswith("ada/o-")


async def test_a_service_gets_its_token_by_client_credentials_and_calls(scene: Scene):
    scene.gateway.runtime.keys.users.add("robot", Role.SERVICE, issuer=scene.issuer)
    memory = Memory()
    async with scene.client(robot(scene, memory)) as client:
        assert (await client.call_tool("demo__echo", {"text": "x"})).content[0].text == "x"
    async with scene.gateway.http(memory.tokens.access_token) as http:
        told = (await http.get("/control/whoami")).json()
    assert (told["user"], told["role"], told["scopes"]) == ("robot", "service", ["call", "read"])


async def test_two_people_s_clients_see_nothing_of_each_other(scene: Scene):
    tasks = []
    for user in ("ada", "bob"):
        memory = Memory()
        async with scene.client(person(scene, memory, user)) as client:
            await client.call_tool("demo__echo", {"text": user})
        async with scene.gateway.http(memory.tokens.access_token) as http:
            listed = (await http.get("/control/tasks")).json()["tasks"]
        tasks.append({(task["principal"].partition("/")[0], task["task"]) for task in listed})
    assert [{user for user, _ in found} for found in tasks] == [{"ada"}, {"bob"}]


async def token_for(scene: Scene, resource: str, scope: str) -> httpx2.Response:
    asked = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
    async with httpx2.AsyncClient() as http:
        return await http.post(f"{scene.issuer}/token", data=asked, auth=("robot", "robot-secret"))


async def test_the_same_server_s_token_for_another_resource_opens_nothing(scene: Scene):
    token = (await token_for(scene, "https://other.example/mcp", "call read")).json()["access_token"]
    assert claims_of(token)["aud"] == "https://other.example/mcp"
    async with scene.gateway.http(token) as http:
        answer = await http.get("/control/whoami")
    assert answer.status_code == 401
    assert "another resource" in answer.json()["error_description"]


async def test_a_token_with_too_little_scope_is_told_what_it_lacks(scene: Scene):
    token = (await token_for(scene, scene.gateway.url, "read")).json()["access_token"]
    async with scene.gateway.http(token) as http:
        answer = await http.get("/control/whoami")
    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="call"' in answer.headers["www-authenticate"]
