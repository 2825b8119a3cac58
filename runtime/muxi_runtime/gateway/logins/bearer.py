"""Shows the right token to a server elsewhere, and to nobody else.

Above: `remote`, whose connections to one server for one user have one of these each. Below: a `TokenSource`:
`UserTokens` (what a person logged in for) or `MachineTokens` (the runtime's own). A token is looked up for each
request, so that a logout, a renewal or a new login holds at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import httpx2

from muxi_runtime.errors import LoginNeededError, RemoteError, VaultError
from muxi_runtime.gateway.logins.challenge import Challenge, challenge_in, plain_scopes
from muxi_runtime.gateway.logins.outside import origin_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from muxi_runtime.gateway.logins.book import LoginBook

__all__ = ["Bearer", "TokenSource", "UserTokens"]


class TokenSource(Protocol):
    """Tokens for one server and whoever it is asked for."""

    async def token(self) -> str | None:
        """The one to show; `None`: nothing is shown.

        Raises:
            RemoteError: it cannot be had now.
        """

    async def renewed(self, refused: str | None, challenge: Challenge) -> str | None:
        """Another one after a refusal; `None` where there is none. Raises as `token`."""

    async def needed(self, challenge: Challenge) -> LoginNeededError:
        """What to tell the caller who cannot be let in. Raises as `token`."""


class Bearer(httpx2.Auth):
    """For the requests of one client. It asks once more with another token, and no more often."""

    def __init__(self, source: TokenSource, url: str) -> None:
        """`url` is the server's: its origin alone is shown anything."""
        self._source = source
        self._origin = origin_of(url)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See `httpx2.Auth`.

        Raises:
            LoginNeededError: it is refused, and only a person can help.
            RemoteError: see `TokenSource.token`.
        """
        if origin_of(str(request.url)) != self._origin:
            request.headers.pop("authorization", None)
            yield request
            return
        token = await self._source.token()
        challenge = challenge_in((yield _shown(request, token)))
        if challenge is None:
            return
        other = await self._source.renewed(token, challenge)
        if other is not None and other != token:
            challenge = challenge_in((yield _shown(request, other)))
            if challenge is None:
                return
        raise await self._source.needed(challenge)


def _shown(request: httpx2.Request, token: str | None) -> httpx2.Request:
    if token is None:
        request.headers.pop("authorization", None)
    else:
        request.headers["Authorization"] = f"Bearer {token}"
    return request


class UserTokens:
    """Those of one user's login. Without a user it is the runtime that lists: see `LoginBook.lister`."""

    def __init__(self, book: LoginBook, server: str, user: str | None, url: str) -> None:
        self._book = book
        self._server = server
        self._user = user
        self._url = url

    async def token(self) -> str | None:
        """See `TokenSource.token`."""
        user = await self._who()
        return await self._book.token(self._server, user, self._url) if user else None

    async def renewed(self, refused: str | None, challenge: Challenge) -> str | None:
        """See `TokenSource.renewed`. A token that only holds too little is not renewed: it would hold no more."""
        user = await self._who()
        if user is None or refused is None or challenge.is_step_up:
            return None
        return await self._book.renewed(self._server, user, self._url, refused=refused)

    async def needed(self, challenge: Challenge) -> LoginNeededError:
        """See `TokenSource.needed`."""
        user = await self._who()
        self._book.note(self._server, self._user, self._url, challenge)
        if user is not None:
            self._book.note(self._server, user, self._url, challenge)
        command = f"muxi-runtime servers login {self._server}"
        more: tuple[str, ...] = ()
        if challenge.is_step_up and user is not None:
            more = tuple(plain_scopes(challenge.scopes))
            wants = " ".join(more) or "more"
            command += "".join(f" --scope {scope}" for scope in more)
            what = f"The login of {user!r} at server {self._server!r} is not good for this: it wants {wants}."
        elif user is None:
            what = f"Nobody is logged in at server {self._server!r}."
        else:
            what = await self._missing(user)
        return LoginNeededError(f"{what} Run `{command}`.", server=self._server, command=command, scopes=more)

    async def _missing(self, user: str) -> str:
        try:
            found = await self._book.find(self._server, user, self._url)
        except VaultError as error:
            raise RemoteError(f"Server {self._server!r} cannot be asked: {error}") from error
        if found is None:
            return f"{user!r} is not logged in at server {self._server!r}."
        return f"The login of {user!r} at server {self._server!r} is not taken any more."

    async def _who(self) -> str | None:
        if self._user is not None:
            return self._user
        try:
            return await self._book.lister(self._server)
        except VaultError as error:
            raise RemoteError(f"Server {self._server!r} cannot be asked: {error}") from error
