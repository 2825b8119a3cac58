"""Tokens for servers elsewhere: servers that lie about where to log in, forged answers, tokens that stray."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from authorization_server import answered, log_in
from gateway_harness import Gateway, open_gateway
from login_scene import CALLBACK, SERVER, LoginScene, brought, login_scene
from pydantic import ValidationError
from sly_authority import SlyAuthority, sly_authority

from muxi_runtime.catalog.remote_oauth import RemoteOAuth
from muxi_runtime.catalog.settings import RemoteAuth
from muxi_runtime.errors import LoginError, VaultError
from muxi_runtime.gateway.logins.outside import Outside
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore
from muxi_runtime.vault.store import Vault
from muxi_sandbox.egress.addresses import FixedResolver
from muxi_sandbox.egress.dialling import Dialler
from muxi_sandbox.egress.settings import EgressSettings

pytestmark = [
    pytest.mark.promise("upstream-tokens-stay-apart"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
    pytest.mark.timeout(120),
]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[LoginScene]:
    async with login_scene(tmp_path / "home") as opened:
        yield opened


@dataclass
class SlyScene:
    gateway: Gateway
    site: SlyAuthority

    async def begin(self) -> httpx2.Response:
        async with self.gateway.http() as http:
            return await http.post("/control/logins", json={"server": SERVER, "redirect_uri": CALLBACK})

    async def finish(self, **changes: Any) -> httpx2.Response:
        begun = (await self.begin()).json()
        good = {"state": answered(begun["url"], "state"), "code": "a-code", "iss": self.site.origin}
        sent = {name: value for name, value in {**good, **changes}.items() if value is not None}
        async with self.gateway.http() as http:
            return await http.post(f"/control/logins/{begun['login']}", json=sent)


@asynccontextmanager
async def sly_scene(home: Path, **options: Any) -> AsyncIterator[SlyScene]:
    async with sly_authority() as site:
        opened = open_gateway(home, manifests={SERVER: {"url": site.url}}, **options)
        async with opened as gateway:
            site.asked.clear()
            yield SlyScene(gateway, site)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("https://10.0.0.1/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://[::1]:6379/", "not public"),
        ("https://[::ffff:192.168.0.1]/", "not public"),
        ("http://127.0.0.1:2375/containers/create", "not public"),
        ("http://192.0.2.1/", "only https"),
        ("http://user:word@127.0.0.1/", "only https"),
        ("file:///etc/passwd", "only https"),
    ],
)
async def test_metadata_that_names_an_internal_address_is_refused_unasked(tmp_path: Path, place: str, says: str):
    async with sly_scene(tmp_path / "home") as scene:
        scene.site.metadata_url = place
        refused = await scene.begin()
        assert (refused.status_code, says in refused.text) == (409, True), refused.text
        assert scene.site.paths() == ["/mcp"]


@pytest.mark.parametrize("name", ["authorization_servers", "registration_endpoint"])
async def test_a_login_does_not_begin_at_an_internal_address_that_a_document_names(tmp_path: Path, name: str):
    async with sly_authority() as inner, sly_scene(tmp_path / "home") as scene:
        if name == "authorization_servers":
            scene.site.resource = {name: [inner.origin]}
        else:
            scene.site.metadata = {name: f"{inner.origin}/register"}
        assert "not public" in (await scene.begin()).text
        assert inner.asked == []


async def test_neither_a_code_nor_a_token_is_sent_to_an_internal_address(tmp_path: Path):
    async with sly_authority() as inner, sly_scene(tmp_path / "home") as scene:
        scene.site.metadata = {"token_endpoint": f"{inner.origin}/token"}
        assert "not public" in (await scene.finish()).text
        scene.site.metadata = {"revocation_endpoint": f"{inner.origin}/revoke"}
        assert (await scene.finish()).status_code == 200
        async with scene.gateway.http() as http:
            assert (await http.delete("/control/servers/far/login")).json()["was_in"]
        assert inner.asked == []


async def test_a_name_that_stands_for_an_internal_address_is_refused():
    outside = Outside(Dialler(EgressSettings(), FixedResolver({"login.example": ["203.0.113.9", "10.0.0.7"]})))
    with pytest.raises(LoginError, match="not public"):
        await outside.get("https://login.example/metadata", own="https://tools.example/mcp")


async def test_a_document_without_end_is_cut_off_and_a_redirect_elsewhere_not_followed(tmp_path: Path):
    async with sly_authority() as elsewhere, sly_scene(tmp_path / "home") as scene:
        scene.site.resource = {"padding": "x" * 2**20}
        assert "more than" in (await scene.begin()).text
        scene.site.resource = {}
        scene.site.token_redirect = f"{elsewhere.origin}/token"
        assert (await scene.finish()).status_code == 409
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"issuer": "https://login.example"}, "not who it was said to be"),
        ({"code_challenge_methods_supported": None}, "PKCE"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ({"authorization_endpoint": "http://login.example/authorize"}, "neither https nor on loopback"),
        ({"registration_endpoint": None}, "client_id"),
    ],
)
async def test_an_authorization_server_that_does_not_fit_is_not_used(tmp_path: Path, wrong: dict[str, Any], says: str):
    async with sly_scene(tmp_path / "home") as scene:
        scene.site.metadata = wrong
        refused = await scene.begin()
        assert (refused.status_code, says in refused.text) == (409, True), refused.text
        assert "/register" not in scene.site.paths()


async def test_metadata_about_another_server_is_not_believed(tmp_path: Path):
    async with sly_scene(tmp_path / "home") as scene:
        scene.site.resource = {"resource": "https://bank.example/mcp"}
        assert "about another server" in (await scene.begin()).text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"state": "another"}, "answer to another login"),
        ({"state": None}, "answer to another login"),
        ({"iss": "https://login.example"}, "does not come from"),
        ({"iss": None}, "does not come from"),
        ({"error": "access_denied"}, "access_denied"),
        ({"code": ""}, "no code"),
    ],
)
async def test_an_answer_that_is_not_to_this_login_gets_no_token(tmp_path: Path, changes: dict[str, Any], says: str):
    async with sly_scene(tmp_path / "home") as scene:
        refused = await scene.finish(**changes)
        assert (refused.status_code, says in refused.text) == (409, True), refused.text
        assert "/token" not in scene.site.paths()


async def test_an_answer_counts_once_and_for_who_began_alone(tmp_path: Path):
    async with sly_scene(tmp_path / "home") as scene:
        begun = (await scene.begin()).json()
        sent = {"state": answered(begun["url"], "state"), "code": "a-code", "iss": scene.site.origin}
        key = scene.gateway.runtime.keys.create("bob")[1]
        async with scene.gateway.http(key) as other, scene.gateway.http() as own:
            path = f"/control/logins/{begun['login']}"
            assert "no such login" in (await other.post(path, json=sent)).text
            assert (await own.post(path, json=sent)).status_code == 200
            assert "no such login" in (await own.post(path, json=sent)).text


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "", "ü", "x" * 20000])
async def test_what_could_be_more_than_a_token_is_refused(tmp_path: Path, token: str):
    async with sly_scene(tmp_path / "home") as scene:
        scene.site.tokens = {"access_token": token}
        assert (await scene.finish()).status_code == 409


async def test_a_token_goes_to_its_server_s_origin_alone(scene: LoginScene, tmp_path: Path):
    del tmp_path
    await scene.log_in("ada")
    token = scene.stored("ada").access_token
    async with sly_authority() as elsewhere:
        scene.upstream.moves_to = elsewhere.url
        await scene.refusal("ada")
        assert all(token not in str(headers) for _, _, headers, _ in elsewhere.asked)
        scene.upstream.moves_to = ""
    assert {shown for shown in scene.upstream.shown if shown} <= {f"Bearer {token}"}


async def test_a_login_does_not_move_to_another_address_of_the_server(scene: LoginScene):
    await scene.log_in("ada")
    scene.change("ada", url="https://tools.example/mcp")
    scene.upstream.shown.clear()
    assert "not logged in" in (await scene.refusal("ada")).error.message
    assert set(scene.upstream.shown) == {None}


async def test_a_scope_that_would_do_something_in_a_shell_is_in_no_command(scene: LoginScene):
    await scene.log_in("ada")
    scene.upstream.wants = "write $(touch${IFS}/tmp/x) ;reboot `id` -x"
    error = (await scene.refusal("ada")).error
    assert error.data["remedy"] == "muxi-runtime servers login far --scope write"
    assert not set(error.message) & set("$;")
    assert "id" not in error.message.split()


async def test_a_client_s_own_key_is_not_sent_on_where_logins_are(scene: LoginScene):
    await scene.log_in("ada")
    await scene.call("ada")
    assert not any(scene.key("ada") in (shown or "") for shown in scene.upstream.shown)


async def test_one_s_login_is_one_s_own_unless_an_operator_makes_it(scene: LoginScene):
    scene.keys["eve"] = scene.gateway.runtime.keys.create("eve", scopes=("call:demo",))[1]
    assert "call:far" in (await scene.begin("eve")).text
    assert (await scene.begin("bob", user="ada")).status_code == 403
    async with scene.gateway.http(scene.key("bob")) as http:
        assert (await http.delete("/control/servers/far/login", params={"user": "ada"})).status_code == 403
    told = await scene.log_in(None, "ada-there", user="ada")
    assert told["user"] == "ada"
    assert await scene.call("ada") == "ada-there"


@pytest.mark.parametrize("uri", ["https://evil.example/cb", "http://192.0.2.1:80/cb", "http://127.0.0.1/cb", "x:y"])
async def test_a_browser_is_sent_back_to_loopback_only(scene: LoginScene, uri: str):
    assert (await scene.begin("ada", redirect_uri=uri)).status_code == 409


async def test_a_page_of_another_site_cannot_begin_a_login(scene: LoginScene):
    body = f'{{"server": "far", "redirect_uri": "{CALLBACK}"}}'
    async with scene.gateway.http() as http:
        answer = await http.post("/control/logins", content=body, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 409


async def test_tokens_are_in_no_file_no_list_no_answer_and_no_event(scene: LoginScene):
    begun = (await scene.begin("ada")).json()
    back = await log_in(begun["url"], "ada")
    done = await scene.finish("ada", begun["login"], **brought(back))
    first = scene.stored("ada")
    scene.expire("ada")
    await scene.call("ada")
    second = scene.stored("ada")
    hidden = [
        first.access_token,
        first.refresh_token,
        second.access_token,
        second.refresh_token,
        answered(back, "code"),
    ]
    async with scene.gateway.http() as http:
        told = (await http.get("/control/servers")).text + (await http.get("/control/status")).text
    state = b"".join(path.read_bytes() for path in scene.home.rglob("*") if path.is_file())
    for value in hidden:
        assert value.encode() not in state
        assert value not in done.text + told + repr(first) + repr(scene.events())
    kinds = [event.kind for event in scene.events()]
    assert kinds == ["login.completed", "login.renewed"]
    assert scene.events()[0].data["user"] == "ada"
    assert scene.events()[0].principal.startswith("ada/")


def test_a_login_that_is_moved_to_another_row_is_refused_and_a_new_key_keeps_it(tmp_path: Path):
    engine = open_store(tmp_path)
    store, vault = LoginStore(engine, KeyFile(tmp_path / "k")), Vault(engine, KeyFile(tmp_path / "k"))
    store.put("far", "ada", "a document")
    vault.rotate_key()
    assert store.get("far", "ada") == "a document"
    assert vault.list() == []
    store.put("far", "bob", "another one")
    with sqlite3.connect(database_path(tmp_path)) as connection:
        connection.execute("UPDATE server_logins SET sealed = (SELECT sealed FROM server_logins WHERE user = 'ada')")
    connection.close()
    with pytest.raises(VaultError, match="cannot be decrypted"):
        store.get("far", "bob")
    engine.dispose()


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_secret": {"secret": "A"}, "client_id": "a"},
        {"client_secret": {"secret": "A"}, "issuer": "https://login.example"},
        {"grant": "client_credentials", "client_id": "a", "issuer": "https://login.example"},
        {"issuer": "http://login.example"},
        {"client_metadata_url": "https://example.org"},
        {"scopes": ["a b"]},
    ],
)
def test_settings_that_would_show_a_secret_to_whoever_asks_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        RemoteOAuth.model_validate(wrong)


def test_a_login_and_a_fixed_value_are_not_mixed():
    with pytest.raises(ValidationError):
        RemoteAuth(value="x", oauth=RemoteOAuth())


async def test_a_secret_is_shown_to_the_configured_issuer_alone(tmp_path: Path):
    oauth = RemoteOAuth(client_id="a", client_secret={"secret": "ROBOT"}, issuer="https://login.example")
    async with sly_scene(tmp_path / "home", server_auth={SERVER: RemoteAuth(oauth=oauth)}) as scene:
        assert "only https://login.example may be used" in (await scene.begin()).text
        assert "/token" not in scene.site.paths()


async def test_a_private_key_that_others_may_read_is_not_used(tmp_path: Path):
    async with login_scene(tmp_path / "home", machine="signer") as scene:
        (tmp_path / "signer.pem").chmod(0o644)
        async with scene.gateway.http() as http:
            servers = (await http.get("/control/servers")).json()["servers"]
        assert next(server for server in servers if server["name"] == SERVER)["tools"]
        scene.upstream.refused |= {shown.removeprefix("Bearer ") for shown in scene.upstream.shown if shown}
        assert "may be read by others" in (await scene.refusal("ada")).error.message
