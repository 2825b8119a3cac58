"""The logins that there are: a token for one user's request to one server, renewed when it has run out.

Above: `bearer`, which asks before each request, and `flow`, which puts a new login in. Below: the encrypted store.
Of several requests that find the same token refused, one renews it, and the others get what it got: a refresh token
that is rotated can be used only once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import anyio
from anyio import to_thread
from pydantic import ValidationError

from muxi_runtime.errors import LoginError, RemoteError, VaultError
from muxi_runtime.gateway.logins.challenge import noted_scopes
from muxi_runtime.gateway.logins.login import Login
from muxi_runtime.gateway.logins.token_endpoint import GrantOverError
from muxi_runtime.identity.principal import LOCAL_USER
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from muxi_runtime.catalog.remote_oauth import RemoteOAuth
    from muxi_runtime.gateway.logins.challenge import Challenge
    from muxi_runtime.gateway.logins.token_endpoint import TokenEndpoint, Tokens
    from muxi_runtime.journal.contract import Journal
    from muxi_runtime.vault.logins import LoginStore

__all__ = ["LoginBook", "LoginState", "SettingsOf"]

logger = logging.getLogger(__name__)

SettingsOf = Callable[[str], "RemoteOAuth"]
LoginState = Literal["missing", "ok", "over"]
MOST_CHALLENGES = 1000


@dataclass(frozen=True, slots=True)
class _Found:
    """A login as it was read, and the document that it was read from: it is replaced only where that is still there."""

    document: str = field(repr=False)
    login: Login


class LoginBook:
    """See the module. Nothing of a login stays in memory beyond the request that it is for, but who has none."""

    def __init__(self, store: LoginStore, endpoint: TokenEndpoint, settings_of: SettingsOf, journal: Journal) -> None:
        self._store = store
        self._endpoint = endpoint
        self._settings_of = settings_of
        self._journal = journal
        self._renewing: dict[tuple[str, str], anyio.Lock] = {}
        self._absent: set[tuple[str, str]] = set()
        """Who has no login, so that servers that want none cost no look into the database. `keep` alone makes one."""
        self._kept = 0
        self._challenges: dict[tuple[str, str | None, str], Challenge] = {}
        """By URL too: what one server said must not lead the login at another that has its name by now."""

    async def find(self, server: str, user: str, url: str) -> Login | None:
        """The login of a user at the server that is at `url`; one of another address does not count.

        Raises:
            VaultError: it cannot be read.
        """
        found = await self._find(server, user, url)
        return found.login if found is not None else None

    async def _find(self, server: str, user: str, url: str) -> _Found | None:
        if (server, user) in self._absent:
            return None
        kept = self._kept
        document = await to_thread.run_sync(self._store.get, server, user)
        if document is None:
            if kept == self._kept:  # else it may have come in just after the look
                self._note_absent(server, user)
            return None
        try:
            login = Login.model_validate_json(document)
        except ValidationError:
            return None  # of another version; its owner logs in again
        return _Found(document, login) if login.url == url else None

    async def lister(self, server: str) -> str | None:
        """Whose login its tools are listed with: `local`'s, else the oldest; `None` where nobody is logged in."""
        users = await to_thread.run_sync(self._store.users, server)
        return LOCAL_USER if LOCAL_USER in users else next(iter(users), None)

    async def token(self, server: str, user: str, url: str) -> str | None:
        """A token that may be shown; `None` where a person has to log in.

        Raises:
            RemoteError: it has run out and could not be renewed now, or cannot be read.
        """
        found = await self._read(server, user, url)
        if found is None or found.login.is_over:
            return None
        login = found.login
        return login.access_token if login.is_fresh else await self.renewed(server, user, url, refused=None)

    async def renewed(self, server: str, user: str, url: str, *, refused: str | None) -> str | None:
        """Another token in place of the refused one; `None` where there is none to be had. Raises as `token`."""
        async with self._renewing.setdefault((server, user), anyio.Lock()):
            found = await self._read(server, user, url)
            if found is None:
                return None
            if found.login.is_fresh and found.login.access_token != refused:
                return found.login.access_token  # somebody else has renewed it meanwhile
            if found.login.refresh_token is None:
                return None
            return await self._renew(server, user, found)

    async def keep(self, server: str, user: str, login: Login) -> None:
        """Put a login in.

        Raises:
            VaultError: it cannot be written.
        """
        await to_thread.run_sync(self._store.put, server, user, login.model_dump_json())
        self._kept += 1
        self._absent.discard((server, user))
        self._challenges.pop((server, user, login.url), None)
        self._challenges.pop((server, None, login.url), None)

    async def _replace(self, server: str, user: str, found: _Found, login: Login) -> bool:
        """Keep what became of a login; not of one that a logout took out, or another login the place of, meanwhile."""
        put = partial(self._store.put, server, user, login.model_dump_json(), instead_of=found.document)
        return await to_thread.run_sync(put)

    def _note_absent(self, server: str, user: str) -> None:
        if len(self._absent) >= MOST_CHALLENGES:
            self._absent.clear()
        self._absent.add((server, user))

    async def forget(self, server: str, user: str) -> bool:
        """Take a login out, and what was wanted of its user; whether there was one."""
        self._challenges = {key: said for key, said in self._challenges.items() if key[:2] != (server, user)}
        return await to_thread.run_sync(self._store.forget, server, user)

    def note(self, server: str, user: str | None, url: str, challenge: Challenge) -> None:
        """Remember what the server at `url` wants of a user, for the next login."""
        if len(self._challenges) >= MOST_CHALLENGES:
            self._challenges.clear()
        self._challenges[server, user, url] = challenge

    def challenge(self, server: str, user: str | None, url: str) -> Challenge | None:
        """What it wanted last."""
        return self._challenges.get((server, user, url))

    async def state(self, server: str, user: str, url: str) -> tuple[LoginState, Login | None]:
        """How it stands; `missing` also where none is needed. Raises as `find`."""
        login = await self.find(server, user, url)
        if login is None:
            return "missing", None
        return ("over" if login.is_over else "ok"), login

    async def _read(self, server: str, user: str, url: str) -> _Found | None:
        try:
            return await self._find(server, user, url)
        except VaultError as error:
            raise RemoteError(f"Server {server!r} cannot be asked: {error}") from error

    async def _fresh(self, server: str, user: str, url: str) -> str | None:
        found = await self._read(server, user, url)
        return found.login.access_token if found is not None and found.login.is_fresh else None

    async def _renew(self, server: str, user: str, found: _Found) -> str | None:
        """The token that it got; the one of the login that took its place meanwhile. Raises as `token`."""
        login = found.login
        try:
            # Not given up half-way: the old refresh token is spent once the new one was made.
            with anyio.CancelScope(shield=True):
                tokens = await self._endpoint.refresh(login, self._settings_of(server))
                fresh = _with(login, tokens)
                is_kept = await self._replace(server, user, found, fresh)
                if not is_kept:
                    await self._revoke(server, fresh)
        except GrantOverError as error:
            await self._end(server, user, found, error)
            return await self._fresh(server, user, login.url)
        except (LoginError, VaultError) as error:
            raise RemoteError(f"The login of {user!r} at {server!r} could not be renewed: {error}") from error
        if not is_kept:
            return await self._fresh(server, user, login.url)
        data = {"server": server, "user": user, "issuer": login.issuer[:500], "scopes": noted_scopes(tokens.scopes)}
        await self._journal.append(Draft("login.renewed", data=data))
        return tokens.access

    async def _revoke(self, server: str, login: Login) -> None:
        """Nobody has these tokens any more: whoever ended the login could revoke its old ones only."""
        try:
            await self._endpoint.revoke(login, self._settings_of(server))
        except LoginError as error:
            logger.info("the tokens of an ended login at %s could not be revoked: %s", server, error)

    async def _end(self, server: str, user: str, found: _Found, error: GrantOverError) -> None:
        """It is over; who it was stays known until a logout."""
        try:
            ended = found.login.ended(is_client_unknown=error.is_client_unknown)
            if not await self._replace(server, user, found, ended):
                return
        except VaultError as failed:
            text = f"The login of {user!r} at {server!r} is over, which cannot be kept: {failed}"
            raise RemoteError(text) from failed
        data = {"server": server, "user": user, "issuer": found.login.issuer[:500], "why": str(error)[:500]}
        await self._journal.append(Draft("login.ended", data=data))


def _with(login: Login, tokens: Tokens) -> Login:
    """A server that does not rotate its refresh tokens sends none."""
    fields = {
        "access_token": tokens.access,
        "refresh_token": tokens.refresh or login.refresh_token,
        "expires_at": tokens.expires_at,
        "scopes": tokens.scopes,
    }
    return login.model_copy(update=fields)
