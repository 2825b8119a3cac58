"""Logins as they are, for commands that ask a server once: nothing is renewed, which the running runtime alone does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import to_thread
from pydantic import ValidationError

from muxi_runtime.errors import RemoteError, VaultError
from muxi_runtime.gateway.logins.login import Login
from muxi_runtime.identity.principal import LOCAL_USER

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx2

    from muxi_runtime.gateway.credentials import Credentials
    from muxi_runtime.vault.logins import LoginStore

__all__ = ["KeptLogins", "login_of_lister"]


class KeptLogins:
    """`Credentials` for listing the tools of the server at `url`: what is set for it, else the lister's login."""

    def __init__(self, configured: Credentials, store: LoginStore, url: str) -> None:
        self._configured = configured
        self._store = store
        self._url = url

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        """See `Credentials.headers_for`."""
        configured = await self._configured.headers_for(server, user)
        if configured:
            return configured
        try:
            found = await to_thread.run_sync(login_of_lister, self._store, server, self._url)
        except VaultError as error:
            raise RemoteError(f"Server {server!r} cannot be asked: {error}") from error
        is_usable = found is not None and found[1].is_fresh
        return {"Authorization": f"Bearer {found[1].access_token}"} if found and is_usable else {}

    def login_for(self, server: str, url: str, user: str | None) -> httpx2.Auth | None:
        """None: what there is, is shown as it is."""
        del server, url, user
        return None


def login_of_lister(store: LoginStore, server: str, url: str) -> tuple[str, Login] | None:
    """Whose login a server's tools are listed with, and the login. Blocks.

    Raises:
        VaultError: it cannot be read.
    """
    users = store.users(server)
    user = LOCAL_USER if LOCAL_USER in users else next(iter(users), "")
    document = store.get(server, user) if user else None
    try:
        login = Login.model_validate_json(document) if document is not None else None
    except ValidationError:
        return None
    return (user, login) if login is not None and login.url == url else None
