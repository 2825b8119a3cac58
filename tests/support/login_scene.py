"""A server elsewhere that wants tokens, a real authorization server, and a gateway whose users log in there.

The server is the SDK's own, which checks each token's signature, issuer and audience. The browser is an HTTP client
that fills in the authorization server's forms.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest
from anyio import to_thread
from authorization_server import answered, authorization_server, log_in
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fixture_servers import serve_app
from gateway_harness import Gateway, open_gateway
from jwt.algorithms import ECAlgorithm
from mcp import MCPError
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations
from sqlalchemy import Engine
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from muxi_runtime.catalog.remote_oauth import RemoteOAuth
from muxi_runtime.catalog.settings import RemoteAuth
from muxi_runtime.gateway.logins.login import Login
from muxi_runtime.journal.contract import Event
from muxi_runtime.journal.read import Query, search
from muxi_runtime.store.engine import open_store
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore
from muxi_runtime.vault.settings import KEY_FILE
from muxi_runtime.vault.store import Vault

CALLBACK = "http://127.0.0.1:9/callback"
SERVER = "far"


@dataclass
class Upstream:
    """The server.

    Attributes:
        shown: the `Authorization` header of every request, oldest first.
        refused: tokens that it takes no more, whatever they say.
        scopes: what every token has to hold.
        wants: a scope that calls of tools need besides.
        moves_to: where it sends everybody.
    """

    url: str
    issuer: str
    shown: list[str | None] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    scopes: tuple[str, ...] = ("call",)
    wants: str = ""
    moves_to: str = ""
    known: dict[str, set[str]] = field(default_factory=dict)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The SDK's `TokenVerifier`."""
        if token in self.refused:
            return None
        try:
            claims = await to_thread.run_sync(self._claims, token)
        except jwt.PyJWTError:
            return None
        self.known[f"Bearer {token}"] = set(claims["scope"].split())
        return AccessToken(token=claims["sub"], client_id=claims["client_id"], scopes=claims["scope"].split())

    def _claims(self, token: str) -> dict[str, Any]:
        key = jwt.PyJWKClient(f"{self.issuer}/jwks").get_signing_key_from_jwt(token)
        claims: dict[str, Any] = jwt.decode(token, key, ["RS256"], audience=self.url, issuer=self.issuer)
        return claims

    def noting(self, app: ASGIApp) -> ASGIApp:
        async def note(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                self.shown.append(headers.get("authorization"))
                if self.moves_to:
                    await RedirectResponse(self.moves_to, 307)(scope, receive, send)
                    return
                if self.wants and self.wants not in self.known.get(headers.get("authorization", ""), {self.wants}):
                    says = f'Bearer error="insufficient_scope", scope="{self.wants}"'
                    await Response(status_code=403, headers={"WWW-Authenticate": says})(scope, receive, send)
                    return
            await app(scope, receive, send)

        return note

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = MCPServer(
            "far",
            token_verifier=self,
            auth=AuthSettings(issuer_url=self.issuer, resource_server_url=self.url, required_scopes=list(self.scopes)),
        )

        @server.tool(annotations=ToolAnnotations(read_only_hint=True))
        def whoami() -> str:
            """Who is asking."""
            token = get_access_token()
            return token.token if token else "nobody"

        app = server.streamable_http_app()
        async with server.session_manager.run(), serve_app(self.noting(app), port=port_of(self.url)):
            yield


@dataclass
class LoginScene:
    """All of it."""

    gateway: Gateway
    upstream: Upstream
    home: Path
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, user: str) -> str:
        if user not in self.keys:
            self.keys[user] = self.gateway.runtime.keys.create(user)[1]
        return self.keys[user]

    async def begin(self, user: str | None, /, **wish: Any) -> httpx2.Response:
        sent = {"server": SERVER, "redirect_uri": CALLBACK, **wish}
        async with self.gateway.http(self.key(user) if user else None) as http:
            return await http.post("/control/logins", json=sent)

    async def finish(self, user: str | None, login: str, /, **brought: Any) -> httpx2.Response:
        async with self.gateway.http(self.key(user) if user else None) as http:
            return await http.post(f"/control/logins/{login}", json=brought)

    async def log_in(self, user: str | None, name: str | None = None, /, **wish: Any) -> dict[str, Any]:
        """The whole way for a user here, who is called `name` there."""
        begun = await self.begin(user, **wish)
        assert begun.status_code == 200, begun.text
        back = await log_in(begun.json()["url"], name or user or "local")
        done = await self.finish(user, begun.json()["login"], **brought(back))
        assert done.status_code == 200, done.text
        return done.json()

    async def call(self, user: str | None) -> str:
        """Who the server says that it is."""
        async with self.gateway.client(key=self.key(user) if user else None) as client:
            return (await client.call_tool("far__whoami", {})).content[0].text

    async def refusal(self, user: str | None) -> MCPError:
        """What a call is refused with."""
        async with self.gateway.client(key=self.key(user) if user else None) as client:
            with pytest.raises(MCPError) as refused:
                await client.call_tool("far__whoami", {})
        return refused.value

    def stored(self, user: str) -> Login:
        with self.store() as store:
            document = store.get(SERVER, user)
        assert document is not None
        return Login.model_validate_json(document)

    def change(self, user: str, **fields: Any) -> None:
        """As time or somebody else would."""
        login = self.stored(user).model_copy(update=fields)
        with self.store() as store:
            store.put(SERVER, user, login.model_dump_json())

    def expire(self, user: str) -> None:
        """Its access token has run out."""
        self.change(user, expires_at=1.0)

    @contextmanager
    def store(self) -> Iterator[LoginStore]:
        """What the gateway keeps, opened beside it."""
        with self._engine() as engine:
            yield LoginStore(engine, KeyFile(self.home / KEY_FILE))

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = open_store(self.home)
        try:
            yield engine
        finally:
            engine.dispose()

    def events(self) -> list[Event]:
        """What is in the journal of logins, oldest first."""
        with self._engine() as engine:
            return list(search(engine, Query(kind="login")))


def brought(back: str) -> dict[str, str]:
    """What the browser came back with."""
    found = {name: answered(back, name) for name in ("state", "code", "iss", "error")}
    return {name: value for name, value in found.items() if value is not None}


def proof_of(client: str, home: Path) -> tuple[dict[str, Any], str]:
    """Settings of how a client proves who it is, which is put where they say, and its public key."""
    if client == "robot":
        engine = open_store(home)
        Vault(engine, KeyFile(home / KEY_FILE)).set("ROBOT", "robot-secret")
        engine.dispose()
        return {"client_secret": {"secret": "ROBOT"}}, ""
    key = ec.generate_private_key(ec.SECP256R1())
    path = home.parent / "signer.pem"
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"private_key_file": str(path)}, ECAlgorithm.to_jwk(key.public_key())


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def free_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/mcp"


@asynccontextmanager
async def login_scene(
    home: Path, *, scopes: Sequence[str] = ("call",), private: bool = True, machine: str = "", **options: Any
) -> AsyncIterator[LoginScene]:
    """`private`: whether the operator lets the gateway reach the authorization server, which is on loopback.

    `machine`: the runtime itself comes in, as `robot` by a secret of the vault or as `signer` by a key.
    """
    url = free_url()
    proof, public = await to_thread.run_sync(proof_of, machine, home) if machine else ({}, "")
    with authorization_server(url, signer=public) as issuer:
        if machine:
            oauth = {"grant": "client_credentials", "client_id": machine, "issuer": issuer, **proof}
            options["server_auth"] = {SERVER: RemoteAuth(oauth=RemoteOAuth.model_validate(oauth))}
        upstream = Upstream(url, issuer, scopes=tuple(scopes))
        allowed = [urlsplit(issuer).netloc] if private else []
        async with (
            upstream.serving(),
            open_gateway(home, manifests={SERVER: {"url": url}}, private=allowed, **options) as gateway,
        ):
            yield LoginScene(gateway, upstream, home)
