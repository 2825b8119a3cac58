"""A login: what one user has at one server elsewhere, as it is kept encrypted."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Client", "Login"]

EARLY_SECONDS = 30
"""A token that has less time left is renewed before it is shown."""


class Client(BaseModel):
    """Who the runtime is to an authorization server. What is configured holds no secret here: that stays in the vault.

    Attributes:
        how: configured, by a metadata document, or registered for this login.
        method: how it proves who it is at the token endpoint (RFC 7591, 2).
        redirect_uri: the address that it was registered with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    how: Literal["configured", "document", "registered"]
    method: str = "none"
    secret: str | None = Field(None, repr=False)
    redirect_uri: str = ""


class Login(BaseModel):
    """Tokens, whom they are for, and where they are renewed.

    Attributes:
        url: the server's, as it was then: another one gets nothing.
        resource: the server as the authorization server knows it (RFC 8707).
        scopes: what was granted.
        expires_at: seconds since 1970; `None`: not said.
        access_token: empty after it has run out for good.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    resource: str
    issuer: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    client: Client
    scopes: tuple[str, ...] = ()
    access_token: str = Field("", repr=False)
    refresh_token: str | None = Field(None, repr=False)
    expires_at: float | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether its access token may still be shown."""
        return bool(self.access_token) and (self.expires_at is None or time.time() < self.expires_at - EARLY_SECONDS)

    @property
    def is_over(self) -> bool:
        """Whether only a person can help."""
        return not self.is_fresh and self.refresh_token is None

    def ended(self, *, is_client_unknown: bool = False) -> Login:
        """The same without its tokens: it is known who was logged in, and with which client.

        One that is unknown to the server fits no address any more, so that the next login registers another.
        """
        gone = {"access_token": "", "refresh_token": None, "expires_at": None}  # nosec B105  # that there is none
        client = self.client.model_copy(update={"redirect_uri": ""}) if is_client_unknown else self.client
        return self.model_copy(update={**gone, "client": client})
