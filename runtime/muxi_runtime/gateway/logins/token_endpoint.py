"""What is asked of a token endpoint: tokens for a code, new ones for old, the runtime's own; and to forget them.

Each request names the resource that the token is for (RFC 8707). Redirects are not followed: what is sent here is a
secret.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp.shared.auth import OAuthToken
from pydantic import ValidationError

from muxi_runtime.errors import LoginError
from muxi_runtime.gateway.logins.challenge import split_scopes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from muxi_runtime.catalog.remote_oauth import RemoteOAuth
    from muxi_runtime.gateway.logins.discovery import Found
    from muxi_runtime.gateway.logins.login import Client, Login
    from muxi_runtime.gateway.logins.outside import Outside
    from muxi_runtime.gateway.logins.proofs import Proofs

__all__ = ["GrantOverError", "TokenEndpoint", "Tokens", "plain_word"]

TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
GRANTED = {200, 201}
LONGEST_SECONDS = 10 * 365 * 24 * 3600


class GrantOverError(LoginError):
    """The authorization server says that what was granted is over, and not only that something went wrong.

    Attributes:
        is_client_unknown: it does not know whom it registered either.
    """

    def __init__(self, message: str, *, is_client_unknown: bool = False) -> None:
        super().__init__(message)
        self.is_client_unknown = is_client_unknown


@dataclass(frozen=True, slots=True)
class Tokens:
    """What came back.

    Attributes:
        expires_at: seconds since 1970; `None`: not said.
    """

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    expires_at: float | None
    scopes: tuple[str, ...]


class TokenEndpoint:
    """Asks them."""

    def __init__(self, outside: Outside, proofs: Proofs) -> None:
        self._outside = outside
        self._proofs = proofs

    async def redeem(
        self,
        found: Found,
        client: Client,
        settings: RemoteOAuth,
        asked: Mapping[str, str],
        *,
        own: str,
        scopes: Sequence[str],
    ) -> Tokens:
        """Tokens for a grant: `asked` are its fields, `scopes` what was asked for.

        Raises:
            LoginError: there are none.
        """
        fields = {**asked, "resource": found.resource}
        return await self._ask(str(found.metadata.token_endpoint), found.issuer, client, settings, fields, own, scopes)

    async def refresh(self, login: Login, settings: RemoteOAuth) -> Tokens:
        """New ones for those of a login.

        Raises:
            GrantOverError: they are not renewed any more.
            LoginError: they could not be renewed now.
        """
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": login.refresh_token or "",
            "resource": login.resource,
        }
        where = login.token_endpoint, login.issuer
        return await self._ask(*where, login.client, settings, fields, login.url, login.scopes)

    async def revoke(self, login: Login, settings: RemoteOAuth) -> bool:
        """Have them forgotten (RFC 7009); whether the server was asked to.

        Raises:
            LoginError: it could not be asked.
        """
        token = login.refresh_token or login.access_token
        if login.revocation_endpoint is None or not token:
            return False
        proof, headers = await self._proofs.of(login.client, settings, login.issuer)
        fields = {**proof, "token": token}
        answer = await self._outside.post_form(login.revocation_endpoint, fields, own=login.url, headers=headers)
        return answer.status in GRANTED

    async def _ask(
        self,
        endpoint: str,
        issuer: str,
        client: Client,
        settings: RemoteOAuth,
        fields: Mapping[str, str],
        own: str,
        scopes: Sequence[str],
    ) -> Tokens:
        proof, headers = await self._proofs.of(client, settings, issuer)
        answer = await self._outside.post_form(endpoint, {**fields, **proof}, own=own, headers=headers)
        if answer.status not in GRANTED:
            said = plain_word(answer.document().get("error"))
            # A client that is configured can be set right again; one that was registered and is unknown now cannot.
            is_unknown = said == "invalid_client" and client.how == "registered"
            text = f"{issuer} gave no token: HTTP {answer.status} {said}".rstrip() + "."
            if is_unknown or said == "invalid_grant":
                raise GrantOverError(text, is_client_unknown=is_unknown)
            raise LoginError(text)
        try:
            token = OAuthToken.model_validate_json(answer.body)
        except ValidationError:
            raise LoginError(f"What {issuer} gave is no bearer token.") from None
        if not TOKEN.fullmatch(token.access_token):
            raise LoginError(f"What {issuer} gave as a token cannot stand in a header.")
        granted = tuple(scopes) if token.scope is None else split_scopes(token.scope)
        return Tokens(token.access_token, token.refresh_token, _expiry(token.expires_in), granted)


def _expiry(seconds: int | None) -> float | None:
    return None if seconds is None else time.time() + min(max(seconds, 0), LONGEST_SECONDS)


def plain_word(said: object) -> str:
    """A code of RFC 6749, 5.2, or a name as of RFC 7591, 2; anything else is not shown."""
    return said if isinstance(said, str) and re.fullmatch(r"[a-z_]{1,60}", said) else ""
