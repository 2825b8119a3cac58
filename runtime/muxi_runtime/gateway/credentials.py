"""What the runtime shows to servers elsewhere: the seam between a connection to one and whatever holds its keys.

Above: `remote`, which asks once for each session, and a session is of one task. Below: `ConfiguredCredentials`, those
of muxi.yaml (production), and `NoCredentials`. What a client showed to us is none of these, and is never sent anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from muxi_runtime.catalog.settings import ServerSettings
from muxi_runtime.errors import RemoteError

__all__ = ["ConfiguredCredentials", "Credentials", "NoCredentials"]


class Credentials(Protocol):
    """Knows what opens a server elsewhere."""

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        """Headers for one user's session with a server; `None` is the runtime itself, that lists the server's tools.

        Raises:
            RemoteError: this user has nothing to show there, and must not be given another's.
        """


class NoCredentials:
    """For servers that were never told of any."""

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        """None."""
        del server, user
        return {}


class ConfiguredCredentials:
    """Those of `servers.NAME.auth` in muxi.yaml."""

    def __init__(self, servers: Mapping[str, ServerSettings]) -> None:
        self._auth = {name: server.auth for name, server in servers.items() if server.auth is not None}

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        """See `Credentials.headers_for`."""
        auth = self._auth.get(server)
        if auth is None:
            return {}
        value = auth.users.get(user, auth.value) if user is not None else auth.value
        if value is not None:
            return {auth.header: value.get_secret_value()}
        if user is None:
            return {}
        raise RemoteError(
            f"There are no credentials of {user!r} for server {server!r}. "
            f"Add them to servers.{server}.auth.users in muxi.yaml, or give all users one by `value`."
        )
