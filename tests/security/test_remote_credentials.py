"""What servers elsewhere are shown: what the operator set for this user, and nothing that a client showed to us."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anyio import to_thread
from click.testing import CliRunner
from fixture_servers import Served, serve_app, serve_fixture
from gateway_harness import open_gateway
from mcp import MCPError
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from token_issuer import AUDIENCE, TokenIssuer, token_issuer

from muxi_runtime.catalog.settings import RemoteAuth, ServerSettings
from muxi_runtime.cli.main import program
from muxi_runtime.cli.redaction import redacted
from muxi_runtime.config import load_settings
from muxi_runtime.errors import ConfigError
from muxi_runtime.identity.oauth.settings import AuthSettings, OAuthSettings

pytestmark = [
    pytest.mark.promise("credentials-stay-apart"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]
OWN = RemoteAuth(header="X-Api-Key", value="shared-1", users={"ada": "adas-1"})


@pytest.fixture
async def issuer():
    async with token_issuer() as opened:
        yield opened


def auth_of(issuer: TokenIssuer) -> dict[str, object]:
    return {
        "auth": AuthSettings(oauth=OAuthSettings(issuer=issuer.url, audience=AUDIENCE)),
        "require_key": "always",
    }


def shown(served: Served) -> set[str | None]:
    return {headers.get("x-api-key") for headers in served.headers}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_neither_key_nor_token_is_ever_sent_on(issuer: TokenIssuer, tmp_path: Path, era: str):
    async with (
        serve_fixture(era) as served,
        open_gateway(tmp_path / "home", manifests={"far": {"url": served.url}}, **auth_of(issuer)) as gateway,
    ):
        key, token = gateway.runtime.keys.create("kim")[1], issuer.sign()
        for secret in (key, token):
            async with gateway.client(key=secret) as client:
                await client.call_tool("far__test_simple_text", {})
        assert served.headers
        for headers in served.headers:
            text = json.dumps(dict(headers))
            assert "authorization" not in text.lower()
            assert key not in text
            assert token not in text
        state = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
        assert token.encode() not in state
        assert key.encode() not in state


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_each_user_s_session_shows_that_user_s_own(tmp_path: Path, era: str):
    async with (
        serve_fixture(era) as served,
        open_gateway(tmp_path / "home", manifests={"far": {"url": served.url}}, server_auth={"far": OWN}) as gateway,
    ):
        assert shown(served) == {"shared-1"}
        for user, value in (("ada", "adas-1"), ("bob", "shared-1"), ("ada", "adas-1")):
            served.headers.clear()
            async with gateway.client(key=gateway.runtime.keys.create(user)[1]) as client:
                await client.call_tool("far__test_simple_text", {})
            assert shown(served) == {value}


async def test_a_user_without_any_is_not_lent_another_s(tmp_path: Path):
    only = RemoteAuth(header="X-Api-Key", users={"ada": "adas-1"})
    async with (
        serve_fixture("modern") as served,
        open_gateway(tmp_path / "home", manifests={"far": {"url": served.url}}, server_auth={"far": only}) as gateway,
    ):
        served.headers.clear()
        async with gateway.client(key=gateway.runtime.keys.create("bob")[1]) as client:
            with pytest.raises(MCPError, match="no credentials of 'bob'"):
                await client.call_tool("far__test_simple_text", {})
        assert served.headers == []


def set_secret(home: Path, name: str, value: str) -> None:
    arguments = ["--home", str(home), "secrets", "set", name]
    assert CliRunner().invoke(program, arguments, input=value, catch_exceptions=False).exit_code == 0


async def test_a_secret_is_shown_as_it_is_now_and_nobody_gets_another_s_for_a_missing_one(tmp_path: Path):
    home = tmp_path / "home"
    set_secret(home, "FAR", "shared-1234")
    auth = RemoteAuth(header="X-Api-Key", prefix="Key", secret="FAR", user_secrets={"ada": "FAR_OF_ADA"})
    async with (
        serve_fixture("modern") as served,
        open_gateway(home, manifests={"far": {"url": served.url}}, server_auth={"far": auth}) as gateway,
    ):
        keys = {user: gateway.runtime.keys.create(user)[1] for user in ("ada", "bob", "cyd")}
        served.headers.clear()
        async with gateway.client(key=keys["ada"]) as client:
            with pytest.raises(MCPError, match="The secret FAR_OF_ADA is not set"):
                await client.call_tool("far__test_simple_text", {})
        assert served.headers == []
        for user, name, value in (("ada", "FAR_OF_ADA", "of-ada-1234"), ("bob", "FAR", "shared-5678")):
            await to_thread.run_sync(set_secret, home, name, value)
            served.headers.clear()
            async with gateway.client(key=keys[user]) as client:
                await client.call_tool("far__test_simple_text", {})
            assert shown(served) == {f"Key {value}"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "a", "secret": "A"},
        {"users": {"ada": "a"}, "user_secrets": {"ada": "A"}},
        {"secret": "a b"},
        {"prefix": "a\n"},
    ],
)
def test_what_is_said_twice_or_is_no_name_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        RemoteAuth.model_validate(wrong)


async def test_one_server_s_are_not_shown_to_another(tmp_path: Path):
    async with serve_fixture("modern") as far, serve_fixture("modern") as near:
        manifests = {"far": {"url": far.url}, "near": {"url": near.url}}
        opened = open_gateway(tmp_path / "home", manifests=manifests, server_auth={"far": OWN})
        async with opened as gateway, gateway.client() as client:
            for name in manifests:
                await client.call_tool(f"{name}__test_simple_text", {})
        assert shown(far) == {"shared-1"}
        assert shown(near) == {None}


async def test_they_do_not_follow_a_redirect_to_another_place(tmp_path: Path):
    seen: list[Request] = []

    async def elsewhere(request: Request) -> Response:
        seen.append(request)
        return Response(status_code=404)

    async with serve_app(Starlette(routes=[Route("/{path:path}", elsewhere, methods=["GET", "POST"])])) as other:

        async def redirect(_request: Request) -> Response:
            return RedirectResponse(other, 307)

        app = Starlette(routes=[Route("/mcp", redirect, methods=["GET", "POST"])])
        async with serve_app(app) as url:
            opened = open_gateway(tmp_path / "home", manifests={"far": {"url": url}}, server_auth={"far": OWN})
            async with opened as gateway:
                assert gateway.runtime.tools.servers["far"].error
    assert [request for request in seen if "x-api-key" in request.headers] == []


async def test_they_are_not_sent_without_tls(tmp_path: Path):
    manifests = {"far": {"url": "http://192.0.2.1/mcp"}}
    async with open_gateway(tmp_path / "home", manifests=manifests, server_auth={"far": OWN}) as gateway:
        assert "https only" in gateway.runtime.tools.servers["far"].error


async def test_a_refusal_and_the_settings_do_not_show_them(tmp_path: Path):
    async def refuse(_request: Request) -> Response:
        return Response(status_code=401)

    async with serve_app(Starlette(routes=[Route("/mcp", refuse, methods=["GET", "POST"])])) as url:
        opened = open_gateway(tmp_path / "home", manifests={"far": {"url": url}}, server_auth={"far": OWN})
        async with opened as gateway:
            error = gateway.runtime.tools.servers["far"].error
    assert "HTTP 401" in error
    text = error + json.dumps(redacted(ServerSettings(auth=OWN).model_dump(mode="json"))) + repr(OWN)
    assert "shared-1" not in text
    assert "adas-1" not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": "Host"},
        {"header": "Mcp-Session-Id"},
        {"header": "X:Y"},
        {"header": ""},
        {"value": "a\r\nX: y"},
        {"value": ""},
        {"value": " a"},
        {"users": {"ada": "\u00e9"}},
    ],
)
def test_what_would_be_another_header_is_refused_unseen(wrong):
    with pytest.raises(ValidationError) as caught:
        RemoteAuth(**wrong)
    assert "X: y" not in str(caught.value)


def test_a_wrong_one_in_the_file_is_told_without_it(tmp_path: Path):
    (tmp_path / "muxi.yaml").write_text("servers: {far: {auth: {value: ' ${KEY}'}}}")
    with pytest.raises(ConfigError, match=r"servers\.far\.auth\.value") as caught:
        load_settings(home=tmp_path, environ={"KEY": "very-secret"})
    assert "very-secret" not in str(caught.value)
