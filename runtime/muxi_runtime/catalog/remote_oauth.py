"""Settings of OAuth towards one server elsewhere: `servers.NAME.auth.oauth` in muxi.yaml. Most need none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from muxi_runtime.identity.oauth.settings import is_safe_url

__all__ = ["RemoteOAuth", "Scope", "SecretName"]

NAME = r"^[A-Z][A-Z0-9_]{0,63}$"
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,200}$")]
"""One scope (RFC 6749, 3.3)."""


def _checked_url(url: str) -> str:
    if not is_safe_url(url) or not url.isascii() or not url.isprintable() or set(url) & set('" \\'):
        raise ValueError("must be an https URL, or http on loopback, without user and fragment")
    return url


def _checked_document(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.path in {"", "/"}:
        raise ValueError("must be an https URL with a path")
    return url


class SecretName(BaseModel):
    """A value that is in the vault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: str = Field(pattern=NAME, description="the name of a secret that holds it")


class RemoteOAuth(BaseModel):
    """How the runtime comes to be a client of the authorization server, and what for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grant: Literal["authorization_code", "client_credentials"] = Field(
        "authorization_code",
        description="authorization_code: each user logs in; client_credentials: the runtime itself, for all users",
    )
    client_id: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        pattern=r"^[\x20-\x7e]+$",
        description="as registered with the authorization server; absent: found out, as the server permits",
    )
    client_secret: SecretName | None = Field(None, description="what belongs to the client id")
    private_key_file: Path | None = Field(
        None, description="in place of a secret: a private key (PEM) that the client signs with (private_key_jwt)"
    )
    client_metadata_url: Annotated[str, AfterValidator(_checked_document), AfterValidator(_checked_url)] | None = Field(
        None, description="a Client ID Metadata Document of yours, for authorization servers that take one"
    )
    issuer: Annotated[str, AfterValidator(_checked_url)] | None = Field(
        None, description="the only authorization server to use; needed where there is a secret or a private key"
    )
    scopes: tuple[Scope, ...] = Field((), description="what is asked for; empty: what the server says that it needs")

    @model_validator(mode="after")
    def _say_what_is_needed(self) -> Self:
        has_credentials = self.client_secret is not None or self.private_key_file is not None
        if self.client_secret is not None and self.private_key_file is not None:
            raise ValueError("give either `client_secret` or `private_key_file`")
        if has_credentials and (self.client_id is None or self.issuer is None):
            # Else the server elsewhere would say who is shown the secret.
            raise ValueError("a secret or a private key needs `client_id`, and `issuer`: whom it is for")
        if self.grant == "client_credentials" and not has_credentials:
            raise ValueError("`client_credentials` needs `client_secret` or `private_key_file`")
        return self
