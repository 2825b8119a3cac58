"""Finds the authorization server of a server elsewhere: RFC 9728, then RFC 8414 or OpenID Connect Discovery.

What the metadata says is believed only as far as it fits: the resource has to be the server that was asked, the issuer
the one that the metadata was looked for under, and every address one that may be asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mcp.client.auth.exceptions import OAuthFlowError
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    issuers_match,
    validate_metadata_issuer,
)
from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import LATEST_PROTOCOL_VERSION
from pydantic import BaseModel, ValidationError

from muxi_runtime.errors import LoginError
from muxi_runtime.gateway.logins.challenge import split_scopes
from muxi_runtime.gateway.logins.outside import Outside
from muxi_runtime.identity.oauth.settings import is_safe_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muxi_runtime.gateway.logins.challenge import Challenge

__all__ = ["Found", "discover"]

Document = TypeVar("Document", bound=BaseModel)
SERVER_ERRORS = 500
TOO_MANY = 429
HEADERS = {MCP_PROTOCOL_VERSION_HEADER: LATEST_PROTOCOL_VERSION}


@dataclass(frozen=True, slots=True)
class Found:
    """An authorization server and what is asked of it.

    Attributes:
        resource: what tokens have to be for, exactly as it was published.
        issuer: who they come from.
        offered: the scopes that the resource says it has; `None`: it does not say.
    """

    resource: str
    issuer: str
    metadata: OAuthMetadata
    offered: tuple[str, ...] | None = None


async def discover(outside: Outside, url: str, challenge: Challenge, *, issuer: str | None = None) -> Found:
    """Ask the server at `url`, then the authorization server that it names. `issuer`: the only one that will do.

    Raises:
        LoginError: there is none, it may not be asked, or what they say does not fit.
    """
    urls = build_protected_resource_metadata_discovery_urls(challenge.metadata_url, url)
    resource = await _first(outside, urls, ProtectedResourceMetadata, own=url)
    canonical = resource_url_from_server_url(url)
    if resource is None:
        # Before there was such metadata, a server was its own authorization server.
        at = build_oauth_authorization_server_metadata_discovery_urls(None, url)
        named = at[0].partition("/.well-known/")[0]
        metadata = await _metadata(outside, at, _chosen([named], issuer), own=url)
        return Found(canonical, str(metadata.issuer), metadata)
    if not check_resource_allowed(requested_resource=canonical, configured_resource=str(resource.resource)):
        raise LoginError(f"What {url} says of itself is about another server, {str(resource.resource)[:300]}.")
    chosen = _chosen([str(server) for server in resource.authorization_servers], issuer)
    at = build_oauth_authorization_server_metadata_discovery_urls(chosen, url)
    metadata = await _metadata(outside, at, chosen, own=url)
    said = resource.scopes_supported
    offered = None if said is None else split_scopes(" ".join(said))
    return Found(str(resource.resource), str(metadata.issuer), metadata, offered)


def _chosen(advertised: Sequence[str], issuer: str | None) -> str:
    """The first that the server names; where the operator has named one, that one or none."""
    if issuer is None:
        return advertised[0]
    for server in advertised:
        if issuers_match(server, issuer):
            return server
    raise LoginError(
        f"The server names {advertised[0][:300]} as its authorization server, and only {issuer} may be used.",
        remedy="Correct auth.oauth.issuer of the server in muxi.yaml if it has moved.",
    )


async def _metadata(outside: Outside, urls: Sequence[str], issuer: str, *, own: str) -> OAuthMetadata:
    found = await _first(outside, urls, OAuthMetadata, own=own)
    if found is None:
        raise LoginError(f"{issuer[:300]} has no metadata of an authorization server.")
    if not issuers_match(str(found.issuer), issuer):
        try:
            validate_metadata_issuer(found, issuer)
        except OAuthFlowError as error:
            raise LoginError(f"The authorization server is not who it was said to be: {str(error)[:500]}.") from error
    for name in ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"):
        endpoint = getattr(found, name)
        if endpoint is not None and not is_safe_url(str(endpoint)):
            raise LoginError(f"The {name} of {issuer[:300]} is neither https nor on loopback.")
    return found


async def _first(outside: Outside, urls: Sequence[str], model: type[Document], *, own: str) -> Document | None:
    """The first of the documents that is there and is one."""
    failed = 0
    for url in urls:
        answer = await outside.get(url, own=own, headers=HEADERS)
        if answer.status >= SERVER_ERRORS or answer.status == TOO_MANY:
            failed = answer.status
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            continue
        try:
            return model.model_validate_json(answer.body)
        except ValidationError:
            continue
    if failed:
        # That says nothing about whether there is one: an older way must not be taken for it.
        raise LoginError(f"The metadata cannot be had now: {urls[0][:300]} answers with HTTP {failed}.")
    return None
