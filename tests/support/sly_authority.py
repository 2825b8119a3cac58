"""A server elsewhere and its authorization server in one, which lie as a test wants: a real one forges nothing.

`login_scene` has a real one, for what goes right.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import anyio
from fixture_servers import serve_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

WELL_KNOWN = "/.well-known"


@dataclass
class SlyAuthority:
    """What it says; tests change it at will.

    Attributes:
        metadata_url: what it says in its refusal.
        resource, metadata: what is different in its documents.
        tokens: what the token endpoint gives.
        registered: what registration answers with, and its status.
        token_status: with which status.
        token_redirect: where the token endpoint sends whoever asks.
        asked: what came to each path, oldest first: method, path, headers, form.
    """

    url: str = ""
    metadata_url: str = ""
    resource: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=lambda: {"access_token": "sly-access", "refresh_token": "sly-more"})
    registered: tuple[dict[str, Any], int] = field(default_factory=lambda: ({"client_id": "sly-client"}, 201))
    token_status: int = 200
    token_redirect: str = ""
    asked: list[tuple[str, str, dict[str, str], dict[str, list[str]]]] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.asked]

    @property
    def origin(self) -> str:
        return self.url.removesuffix("/mcp")

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/mcp", self._mcp, methods=["GET", "POST"]),
                Route(f"{WELL_KNOWN}/oauth-protected-resource/mcp", self._resource),
                Route(f"{WELL_KNOWN}/oauth-authorization-server", self._metadata),
                Route("/register", self._register, methods=["POST"]),
                Route("/token", self._token, methods=["POST"]),
                Route("/{path:path}", self._other, methods=["GET", "POST"]),
            ]
        )

    async def _note(self, request: Request) -> None:
        form = parse_qs((await request.body()).decode(errors="replace"))
        self.asked.append((request.method, request.url.path, dict(request.headers), form))

    async def _mcp(self, request: Request) -> Response:
        await self._note(request)
        says = f'Bearer resource_metadata="{self.metadata_url}"' if self.metadata_url else "Bearer"
        return Response(status_code=401, headers={"WWW-Authenticate": says})

    async def _resource(self, request: Request) -> Response:
        await self._note(request)
        return JSONResponse({"resource": self.url, "authorization_servers": [self.origin], **self.resource})

    async def _metadata(self, request: Request) -> Response:
        await self._note(request)
        document = {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "registration_endpoint": f"{self.origin}/register",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }
        return JSONResponse({name: value for name, value in document.items() if value is not None})

    async def _register(self, request: Request) -> Response:
        await self._note(request)
        return JSONResponse(*self.registered)

    async def _token(self, request: Request) -> Response:
        await self._note(request)
        if self.token_redirect:
            return RedirectResponse(self.token_redirect, 307)
        return JSONResponse({"token_type": "Bearer", "expires_in": 300, **self.tokens}, self.token_status)

    async def _other(self, request: Request) -> Response:
        await self._note(request)
        return Response(status_code=404)


@asynccontextmanager
async def sly_authority() -> AsyncIterator[SlyAuthority]:
    site = SlyAuthority()
    async with serve_app(site.app()) as url:
        site.url = url
        yield site
        await anyio.lowlevel.checkpoint()
