"""Who the runtime is to an authorization server, in the order of the specification.

A client id that is configured; a Client ID Metadata Document, where the server takes one and the operator has one; else
registration for this login (RFC 7591). What was registered with one issuer is never shown to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp.client.auth.exceptions import OAuthRegistrationError
from mcp.client.auth.oauth2 import check_registration_usable
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl, ValidationError

from muxi_runtime.errors import LoginError
from muxi_runtime.gateway.logins.login import Client
from muxi_runtime.gateway.logins.token_endpoint import plain_word

if TYPE_CHECKING:
    from muxi_runtime.catalog.remote_oauth import RemoteOAuth
    from muxi_runtime.gateway.logins.discovery import Found
    from muxi_runtime.gateway.logins.login import Login
    from muxi_runtime.gateway.logins.outside import Outside

__all__ = ["choose_client", "configured_client"]

NAME = "muxi-runtime"
WITH_SECRET = ("client_secret_basic", "client_secret_post")
CREATED = {200, 201}


async def choose_client(
    outside: Outside, found: Found, settings: RemoteOAuth, before: Login | None, *, redirect_uri: str, own: str
) -> Client:
    """The client to log in with. `before` is the login that there was: its registration is used again where it fits.

    Raises:
        LoginError: the server takes none that we could be.
    """
    if settings.client_id is not None:
        return configured_client(found, settings, settings.client_id)
    if settings.client_metadata_url is not None and found.metadata.client_id_metadata_document_supported:
        return Client(id=settings.client_metadata_url, how="document", redirect_uri=redirect_uri)
    if before is not None and before.issuer == found.issuer and _fits(before.client, redirect_uri):
        return before.client
    if found.metadata.registration_endpoint is None:
        raise LoginError(
            f"{found.issuer} does not let clients register themselves.",
            remedy="Register one there, and give its auth.oauth.client_id for the server in muxi.yaml.",
        )
    return await _register(outside, found, redirect_uri=redirect_uri, own=own)


def configured_client(found: Found, settings: RemoteOAuth, client_id: str) -> Client:
    """The client of the settings; its secret is not in it.

    Raises:
        LoginError: the authorization server takes no such proof as the settings have.
    """
    known = found.metadata.token_endpoint_auth_methods_supported
    if settings.private_key_file is not None:
        return Client(id=client_id, how="configured", method="private_key_jwt")
    if settings.client_secret is None:
        return Client(id=client_id, how="configured")
    method = next((method for method in WITH_SECRET if known is None or method in known), None)
    if method is None:
        named = ", ".join(filter(None, map(plain_word, known or ())))[:200]
        raise LoginError(f"{found.issuer} takes no client secrets, only: {named or 'what has no proper name'}.")
    return Client(id=client_id, how="configured", method=method)


def _fits(client: Client, redirect_uri: str) -> bool:
    return client.how == "registered" and client.redirect_uri == redirect_uri


async def _register(outside: Outside, found: Found, *, redirect_uri: str, own: str) -> Client:
    known = found.metadata.token_endpoint_auth_methods_supported
    wanted = OAuthClientMetadata(
        client_name=NAME,
        redirect_uris=[AnyUrl(redirect_uri)],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method=_wanted_method(known),  # type: ignore[arg-type]  # one of those of the SDK
        application_type="native",
    )
    endpoint = str(found.metadata.registration_endpoint)
    document = wanted.model_dump(by_alias=True, mode="json", exclude_none=True)
    answer = await outside.post_json(endpoint, document, own=own)
    if answer.status not in CREATED:
        said = plain_word(answer.document().get("error"))
        raise LoginError(f"{found.issuer} did not register the runtime: HTTP {answer.status} {said}".rstrip() + ".")
    try:
        made = OAuthClientInformationFull.model_validate(answer.document())
        check_registration_usable(made)
    except (ValidationError, OAuthRegistrationError) as error:
        kind = type(error).__name__
        raise LoginError(f"{found.issuer} registered the runtime in a way that it cannot use ({kind}).") from error
    method = made.token_endpoint_auth_method or _assumed_method(made.client_secret, known)
    return Client(
        id=made.client_id, how="registered", method=method, secret=made.client_secret, redirect_uri=redirect_uri
    )


def _wanted_method(known: Sequence[str] | None) -> str:
    """A program on somebody's machine keeps no secret better than it keeps tokens: none, where that is taken."""
    if known is None or "none" in known:
        return "none"
    return next((method for method in WITH_SECRET if method in known), "none")


def _assumed_method(secret: str | None, known: Sequence[str] | None) -> str:
    """Where the registration does not say: the first of RFC 7591's that the server takes."""
    if secret is None:
        return "none"
    return next((method for method in WITH_SECRET if known is None or method in known), "none")
