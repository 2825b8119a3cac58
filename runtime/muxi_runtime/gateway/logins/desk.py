"""Logins at servers elsewhere, put together: what `wiring` makes, and what the rest of the gateway asks.

desk.bearer(server, url, user)      # for a connection
await desk.begin(...), finish, logout
await desk.state(server, user)      # for `servers list` and `status`
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from muxi_runtime.catalog.remote_oauth import RemoteOAuth
from muxi_runtime.errors import LoginError, UnknownToolError, VaultError
from muxi_runtime.gateway.logins.bearer import Bearer, UserTokens
from muxi_runtime.gateway.logins.book import LoginBook
from muxi_runtime.gateway.logins.flow import Begun, Logins, Returned
from muxi_runtime.gateway.logins.machine import MachineTokens
from muxi_runtime.gateway.logins.outside import Outside
from muxi_runtime.gateway.logins.proofs import Proofs
from muxi_runtime.gateway.logins.token_endpoint import TokenEndpoint
from muxi_runtime.identity.principal import LOCAL_USER
from muxi_sandbox.contract import Check

if TYPE_CHECKING:
    from muxi_runtime.catalog.settings import ServerSettings
    from muxi_runtime.gateway.logins.login import Login
    from muxi_runtime.journal.contract import Journal
    from muxi_runtime.vault.logins import LoginStore
    from muxi_runtime.vault.store import Vault
    from muxi_sandbox.egress.dialling import Dialler

__all__ = ["LoginDesk", "LoginReport", "document_of"]

LIST_SECONDS = 5
"""How long who has logged in waits for the server's tools."""
UrlOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class LoginReport:
    """How one user stands at one server.

    Attributes:
        state: `missing` (and the server wants one), `ok`, `over`.
        expires_at: of the access token, seconds since 1970; it is renewed then if `renews`.
    """

    state: str
    issuer: str = ""
    scopes: tuple[str, ...] = ()
    expires_at: float | None = None
    renews: bool = False


class LoginDesk:
    """See the module."""

    def __init__(
        self,
        *,
        dialler: Dialler,
        vault: Vault,
        store: LoginStore,
        servers: Mapping[str, ServerSettings],
        journal: Journal,
    ) -> None:
        self._servers = servers
        self._journal = journal
        self._outside = Outside(dialler)
        self._endpoint = TokenEndpoint(self._outside, Proofs(vault))
        self._book = LoginBook(store, self._endpoint, self._settings, journal)
        self._logins = Logins(self._book, self._outside, self._endpoint, self._settings, journal)
        self._machines: dict[tuple[str, str], MachineTokens] = {}
        self.url_of: UrlOf = _nowhere
        """Where a server elsewhere is; `None` for one that is none."""
        self.logged_in: Callable[[str], Awaitable[None]] = _nothing
        """Called with a server at which somebody has just logged in."""

    def bearer(self, server: str, url: str, user: str | None) -> Bearer:
        """What shows the tokens of one user's login to the server at `url`."""
        if self._settings(server).grant == "client_credentials":
            return Bearer(self._machine(server, url), url)
        return Bearer(UserTokens(self._book, server, user, url), url)

    def is_by_browser(self, server: str) -> bool:
        """Whether a person can log in there."""
        return self.url_of(server) is not None and self._is_by_login(server)

    async def begin(self, server: str, user: str, *, by: str, redirect_uri: str, scopes: Sequence[str]) -> Begun:
        """See `Logins.begin`.

        Raises:
            UnknownToolError: there is no such server.
            LoginError | VaultError: as there.
        """
        return await self._logins.begin(
            server, user, self._url(server), by=by, redirect_uri=redirect_uri, scopes=scopes
        )

    async def finish(self, attempt: str, returned: Returned, *, by: str) -> tuple[str, str, Login]:
        """See `Logins.finish`. The server's tools are listed anew then."""
        server, user, login = await self._logins.finish(attempt, returned, by=by)
        with anyio.move_on_after(LIST_SECONDS):  # a server that did not list its tools is asked again by itself
            await self.logged_in(server)
        return server, user, login

    async def logout(self, server: str, user: str, *, by: str) -> bool:
        """See `Logins.logout`. A server that there is no more is all the same to it."""
        return await self._logins.logout(server, user, self.url_of(server) or "", by=by)

    async def report(self, server: str, user: str) -> LoginReport | None:
        """How a user stands there; `None` where no login is wanted, as far as is known.

        Raises:
            VaultError: it cannot be read.
        """
        url = self.url_of(server)
        if url is None or not self._is_by_login(server):
            return None
        state, login = await self._book.state(server, user, url)
        if login is None:
            wanted = self._book.challenge(server, user, url) or self._book.challenge(server, None, url)
            return LoginReport(state) if wanted else None
        renews = login.refresh_token is not None
        return LoginReport(state, login.issuer, login.scopes, login.expires_at, renews)

    async def checks(self, servers: Sequence[str]) -> list[Check]:
        """For `status`: servers that nobody could be heard by for want of a login; nothing where there are none."""
        found: list[str] = []
        for server in servers:
            try:
                user = await self._book.lister(server) or LOCAL_USER
                report = await self.report(server, user)
            except VaultError as error:
                return [Check("logins", ok=False, detail=Exception.__str__(error), cure=error.remedy)]
            if report is not None and report.state != "ok":
                found.append(f"{server} ({user}: {report.state})")
        if not found:
            return []
        cure = " ".join(f"`muxi-runtime servers login {one.partition(' ')[0]}`." for one in found)
        return [Check("logins", ok=True, detail=f"warning: a login is wanted at {', '.join(found)}", cure=cure)]

    def _settings(self, server: str) -> RemoteOAuth:
        known = self._servers.get(server)
        oauth = known.auth.oauth if known is not None and known.auth is not None else None
        return oauth or RemoteOAuth()

    def _is_by_login(self, server: str) -> bool:
        known = self._servers.get(server)
        has_other = known is not None and known.auth is not None and known.auth.oauth is None
        return not has_other and self._settings(server).grant == "authorization_code"

    def _url(self, server: str) -> str:
        url = self.url_of(server)
        if url is None:
            raise UnknownToolError(f"There is no server elsewhere that is called {server[:80]!r}.")
        if not self._is_by_login(server):
            raise LoginError(f"What {server} is shown is set in muxi.yaml: servers.{server}.auth.")
        return url

    def _machine(self, server: str, url: str) -> MachineTokens:
        found = self._machines.get((server, url))
        if found is None:
            found = MachineTokens(self._outside, self._endpoint, self._settings, self._journal, server, url)
            self._machines[server, url] = found
        return found


def _nowhere(_server: str) -> str | None:
    return None


async def _nothing(_server: str) -> None:
    """Nobody wants to know."""


def document_of(report: LoginReport) -> dict[str, Any]:
    """For programs."""
    return {
        "state": report.state,
        "issuer": report.issuer,
        "scopes": list(report.scopes),
        "expires_at": report.expires_at,
        "renews": report.renews,
    }
