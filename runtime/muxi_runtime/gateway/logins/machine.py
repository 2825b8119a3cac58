"""The runtime's own tokens at servers elsewhere: OAuth's client credentials, for servers that no person logs in at.

They are the same for every user, are in memory alone, and are asked for when a server first refuses.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from muxi_runtime.errors import LoginError, LoginNeededError, RemoteError
from muxi_runtime.gateway.logins.challenge import MOST_SCOPES, noted_scopes, plain_scopes
from muxi_runtime.gateway.logins.clients import configured_client
from muxi_runtime.gateway.logins.discovery import discover
from muxi_runtime.gateway.logins.login import EARLY_SECONDS
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from muxi_runtime.gateway.logins.book import SettingsOf
    from muxi_runtime.gateway.logins.challenge import Challenge
    from muxi_runtime.gateway.logins.outside import Outside
    from muxi_runtime.gateway.logins.token_endpoint import TokenEndpoint, Tokens
    from muxi_runtime.journal.contract import Journal

__all__ = ["MachineTokens"]


class MachineTokens:
    """The `TokenSource` of one server, shared by all of its connections."""

    def __init__(
        self,
        outside: Outside,
        endpoint: TokenEndpoint,
        settings_of: SettingsOf,
        journal: Journal,
        server: str,
        url: str,
    ) -> None:
        self._outside = outside
        self._endpoint = endpoint
        self._settings_of = settings_of
        self._journal = journal
        self._server = server
        self._url = url
        self._tokens: Tokens | None = None
        self._scopes: tuple[str, ...] = ()
        self._turn = anyio.Lock()

    async def token(self) -> str | None:
        """See `TokenSource.token`. One that has run out is not shown: the refusal brings another."""
        known = self._tokens
        if known is None or (known.expires_at is not None and time.time() >= known.expires_at - EARLY_SECONDS):
            return None
        return known.access

    async def renewed(self, refused: str | None, challenge: Challenge) -> str | None:
        """See `TokenSource.renewed`."""
        async with self._turn:
            now = await self.token()
            if now is not None and now != refused:
                return now
            try:
                self._tokens = await self._ask(challenge)
            except LoginError as error:
                raise RemoteError(f"Server {self._server!r} wants a token, and there is none: {error}") from error
            data = {"server": self._server, "user": None, "scopes": noted_scopes(self._tokens.scopes)}
            issuer = self._settings_of(self._server).issuer
            await self._journal.append(Draft("login.renewed", data={**data, "issuer": issuer}))
            return self._tokens.access

    async def needed(self, challenge: Challenge) -> LoginNeededError:
        """See `TokenSource.needed`."""
        named = " ".join(plain_scopes(challenge.scopes))
        wants = f", and wants {named}" if named else ""
        return LoginNeededError(
            f"Server {self._server!r} does not take the runtime's own token{wants}. "
            f"See servers.{self._server}.auth.oauth in muxi.yaml.",
            server=self._server,
            command=f"muxi-runtime servers inspect {self._server}",
        )

    async def _ask(self, challenge: Challenge) -> Tokens:
        settings = self._settings_of(self._server)
        found = await discover(self._outside, self._url, challenge, issuer=settings.issuer)
        client = configured_client(found, settings, settings.client_id or "")
        wanted = settings.scopes or challenge.scopes or (found.offered or ())
        if challenge.is_step_up:
            wanted = (*wanted, *self._scopes, *challenge.scopes)
        self._scopes = tuple(dict.fromkeys(wanted))[:MOST_SCOPES]
        asked = {"grant_type": "client_credentials"} | ({"scope": " ".join(self._scopes)} if self._scopes else {})
        return await self._endpoint.redeem(found, client, settings, asked, own=self._url, scopes=self._scopes)
