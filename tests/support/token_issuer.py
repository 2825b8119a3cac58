"""An authorization server's public face, and the pen to sign whatever a test wants: a real one forges nothing.

`authorization_server` has a real one, for what goes right.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fixture_servers import serve_app
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

AUDIENCE = "https://tools.example.org/mcp"
RSA_KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
WEAK_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass
class TokenIssuer:
    """What it publishes; tests change it at will.

    Attributes:
        fetches: how often its keys were asked for.
        oidc: whether its metadata is where OpenID Connect has it, and not where RFC 8414 does.
        metadata: what is different in it.
        redirect: where it sends whoever asks for its keys.
    """

    url: str = ""
    keys: dict[str, Any] = field(default_factory=lambda: {"one": RSA_KEYS[0], "ec": EC_KEY})
    fetches: int = 0
    oidc: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    redirect: str = ""
    broken: bool = False

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        made = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "client_id": "desk",
            "exp": now + 300,
            "iat": now,
            "scope": "call read",
        }
        return {name: value for name, value in {**made, **changes}.items() if value is not None}

    def sign(
        self,
        *,
        kid: str | None = "one",
        key: Any = None,
        alg: str = "RS256",
        head: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        headers = {"typ": "at+jwt", **({"kid": kid} if kid else {}), **(head or {})}
        return jwt.encode(self.claims(**claims), key or self.keys[kid or "one"], algorithm=alg, headers=headers)

    def app(self) -> Starlette:
        async def metadata(request: Request) -> Response:
            if self.oidc is ("oauth" in request.url.path):
                return Response(status_code=404)
            return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.metadata})

        async def keys(_request: Request) -> Response:
            self.fetches += 1
            if self.broken:
                return Response(status_code=500)
            if self.redirect:
                return RedirectResponse(self.redirect)
            return JSONResponse({"keys": [public(kid, key) for kid, key in self.keys.items()]})

        well_known = "/.well-known"
        return Starlette(
            routes=[
                Route(f"{well_known}/oauth-authorization-server", metadata),
                Route(f"{well_known}/openid-configuration", metadata),
                Route("/jwks", keys),
            ]
        )


def public(kid: str, key: Any) -> dict[str, Any]:
    kind = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@asynccontextmanager
async def token_issuer() -> AsyncIterator[TokenIssuer]:
    issuer = TokenIssuer()
    async with serve_app(issuer.app()) as url:
        issuer.url = url.removesuffix("/mcp")
        yield issuer
