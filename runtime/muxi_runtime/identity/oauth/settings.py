"""Settings of who may come in by what: the `auth:` section of muxi.yaml."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from muxi_runtime.identity.roles import Role
from muxi_runtime.identity.scopes import parse_scopes

__all__ = ["AuthSettings", "OAuthSettings", "is_safe_url"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_safe_url(url: str) -> bool:
    """Whether nobody between can change what is sent: https, or http on this machine. No user, no fragment."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.password or parts.fragment)
    except ValueError:
        return False
    return usable and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def _checked_url(url: str) -> str:
    if not is_safe_url(url) or not url.isascii() or not url.isprintable() or set(url) & set('" \\'):
        raise ValueError("must be an https URL, or http on loopback, without user and fragment")
    return url


def _checked_scopes(mapping: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    for ours in mapping.values():
        parse_scopes(ours)
    return mapping


Url = Annotated[str, AfterValidator(_checked_url)]


class OAuthSettings(BaseModel):
    """One authorization server whose access tokens open this endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Url = Field(description="the authorization server, exactly as it names itself; https, or http on loopback")
    audience: Url = Field(description="this endpoint's URL as clients reach it; tokens must be made for it")
    required_scopes: tuple[str, ...] = Field((), description="scopes that every token must have")
    scope_mapping: Annotated[dict[str, tuple[str, ...]], AfterValidator(_checked_scopes)] = Field(
        default_factory=dict, description="scopes of the authorization server, and ours that each is worth"
    )
    user_claim: str = Field("sub", description="the claim that is the user's name here")
    groups_claim: str = Field("", description="the claim that lists the user's groups; empty: none")
    role_mapping: dict[str, Role] = Field(
        default_factory=dict, description="roles of groups; the first group named here that the user is in counts"
    )
    leeway_seconds: float = Field(30, ge=0, le=300, description="by how much clocks may differ")


class AuthSettings(BaseModel):
    """Who may come in beside the owners of API keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    oauth: OAuthSettings | None = None
