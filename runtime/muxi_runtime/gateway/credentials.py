"""What the runtime shows to servers elsewhere: the seam between a connection to one and whatever holds its keys.

Above: `remote`, which asks once for each session, and a session is of one task. Below: `ConfiguredCredentials`, those
of muxi.yaml and of logins (production), and `NoCredentials`. What a client showed to us is none of these, and is never
sent anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from anyio import to_thread

from muxi_runtime.catalog.settings import ServerSettings
from muxi_runtime.errors import RemoteError, VaultError
from muxi_runtime.vault.store import Vault

if TYPE_CHECKING:
    import httpx2

    from muxi_runtime.gateway.logins.desk import LoginDesk

__all__ = ["ConfiguredCredentials", "Credentials", "NoCredentials"]


class Credentials(Protocol):
    """Knows what opens a server elsewhere."""

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        """Headers for one user's session with a server; `None` is the runtime itself, that lists the server's tools.

        Raises:
            RemoteError: this user has nothing to show there, and must not be given another's.
        """

    def login_for(self, server: str, url: str, user: str | None) -> httpx2.Auth | None:
        """What shows tokens of a login to the server at `url`; `None` where a login is not how one comes in."""


class NoCredentials:
    """For servers that were never told of any."""

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        """None."""
        del server, user
        return {}

    def login_for(self, server: str, url: str, user: str | None) -> httpx2.Auth | None:
        """None."""
        del server, url, user
        return None


class ConfiguredCredentials:
    """Those of `servers.NAME.auth` in muxi.yaml. A secret that it names holds as it is when a session begins."""

    def __init__(self, servers: Mapping[str, ServerSettings], vault: Vault, logins: LoginDesk | None = None) -> None:
        self._logins = logins
        self._auth = {name: server.auth for name, server in servers.items() if server.auth is not None}
        self._vault = vault

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        """See `Credentials.headers_for`."""
        auth = self._auth.get(server)
        if auth is None or auth.oauth is not None:
            return {}
        own = auth.users.get(user) if user is not None else None
        secret = auth.user_secrets.get(user) if user is not None else None
        if own is None and secret is None:
            own, secret = auth.value, auth.secret
        if own is not None:
            return {auth.header: own.get_secret_value()}
        if secret is not None:
            return {auth.header: await self._of_vault(server, secret, auth.prefix)}
        if user is None:
            return {}
        raise RemoteError(
            f"There are no credentials of {user!r} for server {server!r}. "
            f"Add them to servers.{server}.auth.users in muxi.yaml, or give all users one by `value`."
        )

    def login_for(self, server: str, url: str, user: str | None) -> httpx2.Auth | None:
        """See `Credentials.login_for`. Whoever has set what is shown is not asked to log in."""
        auth = self._auth.get(server)
        if self._logins is None or (auth is not None and auth.oauth is None):
            return None
        return self._logins.bearer(server, url, user)

    async def _of_vault(self, server: str, name: str, prefix: str) -> str:
        try:
            value = await to_thread.run_sync(self._vault.value, name)
        except VaultError as error:
            raise RemoteError(f"Server {server!r} cannot be asked: {error}") from error
        if not value.isascii():
            raise RemoteError(f"The secret {name} cannot go into a header: it is not ASCII. Set it anew.")
        return f"{prefix} {value}".strip()
