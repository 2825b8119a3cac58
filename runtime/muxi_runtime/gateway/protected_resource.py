"""What an MCP client has to know to get an access token: the protected resource's metadata (RFC 9728).

A client that comes without a token is refused with the URL of this metadata, reads it, gets a token for us from the
authorization server that it names, and comes again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime.gateway.http_auth import METADATA_PATH

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from muxi_runtime.gateway.http_auth import TokenAuthenticator
    from muxi_runtime.identity.oauth.settings import OAuthSettings
    from muxi_runtime.identity.oauth.tokens import FindUser

__all__ = ["metadata_routes", "metadata_url", "open_tokens"]


def metadata_url(settings: OAuthSettings) -> str:
    """Where clients find the metadata: beside the resource that they use (RFC 9728, 3.1)."""
    parts = urlsplit(settings.audience)
    return f"{parts.scheme}://{parts.netloc}{METADATA_PATH}{parts.path.rstrip('/')}"


def metadata_routes(settings: OAuthSettings) -> list[Route]:
    """The metadata at its place, at the root, and where clients look that use one server's endpoint."""
    document = {
        "resource": settings.audience,
        "authorization_servers": [settings.issuer],
        "scopes_supported": _scopes(settings),
        "bearer_methods_supported": ["header"],
        "resource_name": "muxi-runtime",
    }

    async def tell(_request: Request) -> Response:
        return JSONResponse(document)

    return [Route(METADATA_PATH, tell), Route(METADATA_PATH + "/{path:path}", tell)]


def _scopes(settings: OAuthSettings) -> list[str]:
    """What a client should ask for: the authorization server's own scopes, or ours where it has those."""
    wanted = settings.scope_mapping or dict.fromkeys(("call", "read"))
    return list(dict.fromkeys((*settings.required_scopes, *wanted)))


def open_tokens(settings: OAuthSettings, find_user: FindUser) -> TokenAuthenticator:
    """What takes the authorization server's tokens."""
    # Imported here: it takes a quarter of a second, and few runtimes need it.
    from muxi_runtime.identity.oauth.issuer import IssuerKeys  # noqa: PLC0415 - see above
    from muxi_runtime.identity.oauth.tokens import Tokens  # noqa: PLC0415 - see above

    return Tokens(settings, IssuerKeys(settings.issuer), find_user)
