"""Logs a person in: OAuth 2.1's authorization code, with PKCE (S256), state, and the checks of who answers.

    begun = await logins.begin(...)                  # the address that the person opens
    login = await logins.finish(begun.id, ...)       # what the browser brought back

The browser comes back to a loopback port of whoever asked (RFC 8252, 7.3), who hands on what it brought. An attempt is
good once, for ten minutes, and for the caller that began it alone.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx2
from mcp.client.auth.exceptions import OAuthFlowError
from mcp.client.auth.oauth2 import PKCEParameters
from mcp.client.auth.utils import validate_authorization_response_iss

from muxi_runtime.errors import LoginError, VaultError
from muxi_runtime.gateway.logins.challenge import MOST_SCOPES, Challenge, challenge_in, noted_scopes
from muxi_runtime.gateway.logins.clients import choose_client
from muxi_runtime.gateway.logins.discovery import discover
from muxi_runtime.gateway.logins.login import Login
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muxi_runtime.gateway.logins.book import LoginBook, SettingsOf
    from muxi_runtime.gateway.logins.discovery import Found
    from muxi_runtime.gateway.logins.login import Client
    from muxi_runtime.gateway.logins.outside import Outside
    from muxi_runtime.gateway.logins.token_endpoint import TokenEndpoint, Tokens
    from muxi_runtime.journal.contract import Journal

__all__ = ["Begun", "Logins", "Returned"]

SECONDS = 600
MOST = 50
"""Attempts that nobody has finished, of all callers."""
MOST_EACH = 5
"""Of one caller, who keeps no other from logging in: one more takes the place of the oldest."""
PROBE = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}
OFFLINE = "offline_access"
LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt.

    Attributes:
        url: where the person goes; it holds no secret but the state.
    """

    id: str
    url: str
    issuer: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Returned:
    """What the browser brought back: the parameters of the authorization response (RFC 6749, 4.1.2; RFC 9207)."""

    state: str = ""
    code: str = field(default="", repr=False)
    iss: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Attempt:
    by: str
    server: str
    user: str
    url: str
    found: Found
    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str = field(repr=False)
    pkce: PKCEParameters = field(repr=False)
    ends_at: float = field(default_factory=lambda: time.monotonic() + SECONDS)


class Logins:
    """The attempts under way."""

    def __init__(
        self, book: LoginBook, outside: Outside, endpoint: TokenEndpoint, settings_of: SettingsOf, journal: Journal
    ) -> None:
        self._book = book
        self._outside = outside
        self._endpoint = endpoint
        self._settings_of = settings_of
        self._journal = journal
        self._attempts: dict[str, _Attempt] = {}

    async def begin(
        self, server: str, user: str, url: str, *, by: str, redirect_uri: str, scopes: Sequence[str] = ()
    ) -> Begun:
        """Find out whom to ask, and make the address that the person opens.

        Args:
            server: its name.
            user: who logs in.
            url: the server's.
            by: the caller, as `str(Principal)`.
            redirect_uri: a loopback address that the caller listens on.
            scopes: what to ask for beside what the server says that it needs.

        Raises:
            LoginError: there is nothing to log in to, or what the server says may not be followed.
            VaultError: the login before cannot be read.
        """
        settings = self._settings_of(server)
        if settings.grant == "client_credentials":
            raise LoginError(f"Nobody logs in at {server}: the runtime has credentials of its own there.")
        challenge = await self._challenge(server, user, url)
        found = await discover(self._outside, url, challenge, issuer=settings.issuer)
        _demand_pkce(found)
        before = await self._book.find(server, user, url)
        client = await choose_client(self._outside, found, settings, before, redirect_uri=redirect_uri, own=url)
        asked = _scopes(found, challenge, settings.scopes, before, scopes)
        attempt = _Attempt(
            by,
            server,
            user,
            url,
            found,
            client,
            redirect_uri,
            asked,
            secrets.token_urlsafe(32),
            PKCEParameters.generate(),
        )
        return Begun(self._add(attempt), _authorization_url(attempt), found.issuer, asked)

    async def finish(self, attempt_id: str, returned: Returned, *, by: str) -> tuple[str, str, Login]:
        """Take the code to the token endpoint, and keep what it gives: server, user, login.

        Raises:
            LoginError: what came back is not the answer to this attempt, or the server gave no token.
            VaultError: it cannot be kept.
        """
        attempt = self._attempts.get(attempt_id)
        if attempt is None or attempt.by != by or attempt.ends_at < time.monotonic():
            raise LoginError("There is no such login under way; it may have taken too long.", remedy="Begin anew.")
        del self._attempts[attempt_id]  # whatever comes of it: once
        try:
            login = await self._redeem(attempt, returned)
        except LoginError as error:
            known = {"server": attempt.server, "user": attempt.user, "issuer": attempt.found.issuer[:500]}
            await self._journal.append(Draft("login.failed", principal=by, data={**known, "why": str(error)[:500]}))
            raise
        # Before it is kept: a login that nobody can account for is not made.
        await self._journal.append(Draft("login.completed", principal=by, data=_facts(attempt, login)))
        await self._book.keep(attempt.server, attempt.user, login)
        return attempt.server, attempt.user, login

    async def logout(self, server: str, user: str, url: str, *, by: str) -> bool:
        """Forget a login, and have the server forget it where it can; whether there was one.

        Raises:
            VaultError: it cannot be removed.
        """
        try:
            login = await self._book.find(server, user, url)
        except VaultError:
            login = None  # it cannot be read, and is removed all the same
        if not await self._book.forget(server, user):
            return False
        revoked = False
        if login is not None:
            try:
                revoked = await self._endpoint.revoke(login, self._settings_of(server))
            except LoginError:
                revoked = False  # the tokens are gone from here, and that is what was asked for
        data = {"server": server, "user": user, "revoked": revoked}
        await self._journal.append(Draft("login.removed", principal=by, data=data))
        return True

    async def _redeem(self, attempt: _Attempt, returned: Returned) -> Login:
        if not secrets.compare_digest(returned.state.encode(), attempt.state.encode()):
            raise LoginError("The browser brought the answer to another login.", remedy="Begin anew.")
        try:
            validate_authorization_response_iss(returned.iss, attempt.found.metadata)
        except OAuthFlowError:
            raise LoginError(
                f"The answer does not come from {attempt.found.issuer}, or does not say so.",
                remedy="Somebody may be between you and it. Begin anew, and look at the address in the browser.",
            ) from None
        if returned.error or not 0 < len(returned.code) <= LONGEST:
            said = returned.error if returned.error.isascii() and returned.error.isprintable() else ""
            raise LoginError(f"{attempt.found.issuer} did not let you in: {said[:100] or 'it gave no code'}.")
        asked = {
            "grant_type": "authorization_code",
            "code": returned.code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.pkce.code_verifier,
        }
        settings = self._settings_of(attempt.server)
        tokens = await self._endpoint.redeem(
            attempt.found, attempt.client, settings, asked, own=attempt.url, scopes=attempt.scopes
        )
        return _login(attempt, tokens)

    async def _challenge(self, server: str, user: str, url: str) -> Challenge:
        """What the server wants of a user: what it said last, else what it says to a request without a token."""
        known = self._book.challenge(server, user, url)
        if known is not None:
            return known
        answer = await self._outside.post_json(url, PROBE, own=url, headers=ACCEPT)
        challenge = challenge_in(httpx2.Response(answer.status, headers=answer.headers))
        if challenge is None or answer.status != HTTPStatus.UNAUTHORIZED:
            raise LoginError(f"{server} does not ask for a login: it answers with HTTP {answer.status}.")
        return challenge

    def _add(self, attempt: _Attempt) -> str:
        now = time.monotonic()
        self._attempts = {name: known for name, known in self._attempts.items() if known.ends_at >= now}
        own = [name for name, known in self._attempts.items() if known.by == attempt.by]  # the oldest first
        for name in own[: 1 - MOST_EACH]:
            del self._attempts[name]
        if len(self._attempts) >= MOST:
            raise LoginError("Too many logins are under way.", remedy="Try again in some minutes.")
        name = secrets.token_urlsafe(16)
        self._attempts[name] = attempt
        return name


def _demand_pkce(found: Found) -> None:
    if "S256" not in (found.metadata.code_challenge_methods_supported or ()):
        raise LoginError(f"{found.issuer} does not say that it takes PKCE with S256; without, a code can be stolen.")


def _scopes(
    found: Found, challenge: Challenge, configured: Sequence[str], before: Login | None, more: Sequence[str]
) -> tuple[str, ...]:
    """What to ask for: as the operator says, as the refusal says, as the metadata says, else nothing.

    That is the specification's order. What was granted before is not given up for what is wanted besides. Where a
    server names more than are asked for, what people here want goes first.
    """
    wanted = tuple(configured) or challenge.scopes or (found.offered or ())
    if challenge.is_step_up:
        wanted = (*configured, *challenge.scopes, *(before.scopes if before else ()))
    wanted = tuple(dict.fromkeys((*more, *wanted)))
    if wanted and OFFLINE in (found.metadata.scopes_supported or ()):
        wanted = tuple(dict.fromkeys((OFFLINE, *wanted)))
    return wanted[:MOST_SCOPES]


def _authorization_url(attempt: _Attempt) -> str:
    asked = {
        "response_type": "code",
        "client_id": attempt.client.id,
        "redirect_uri": attempt.redirect_uri,
        "state": attempt.state,
        "code_challenge": attempt.pkce.code_challenge,
        "code_challenge_method": "S256",
        "resource": attempt.found.resource,
    }
    if attempt.scopes:
        asked["scope"] = " ".join(attempt.scopes)
    if OFFLINE in attempt.scopes:
        asked["prompt"] = "consent"  # OpenID Connect Core, 11
    parts = urlsplit(str(attempt.found.metadata.authorization_endpoint))
    query = f"{parts.query}&{urlencode(asked)}" if parts.query else urlencode(asked)
    return urlunsplit(parts._replace(query=query, fragment=""))


def _login(attempt: _Attempt, tokens: Tokens) -> Login:
    metadata = attempt.found.metadata
    return Login(
        url=attempt.url,
        resource=attempt.found.resource,
        issuer=attempt.found.issuer,
        token_endpoint=str(metadata.token_endpoint),
        revocation_endpoint=str(metadata.revocation_endpoint) if metadata.revocation_endpoint else None,
        client=attempt.client,
        scopes=tokens.scopes,
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        expires_at=tokens.expires_at,
    )


def _facts(attempt: _Attempt, login: Login) -> dict[str, object]:
    return {
        "server": attempt.server,
        "user": attempt.user,
        "issuer": login.issuer[:500],
        "resource": login.resource[:500],
        "scopes": noted_scopes(login.scopes),
        "client": login.client.how,
    }
