"""What a server elsewhere says when it refuses: `WWW-Authenticate` (RFC 6750, 3; RFC 9728, 5.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from mcp.client.auth.utils import extract_field_from_www_auth

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx2

__all__ = ["MOST_SCOPES", "Challenge", "challenge_in", "is_for_tokens", "noted_scopes", "plain_scopes", "split_scopes"]

LONGEST = 2000
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}")
MOST_SHOWN = 8
MOST_SCOPES = 100
LONGEST_SCOPE = 200
"""Together a third of what an event of the journal may hold: of a larger one the journal cuts out who and where."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One refusal.

    Attributes:
        metadata_url: where it says that its metadata is.
        scopes: what it says that the request needs.
        is_step_up: whether the token was good and only held too little.
    """

    metadata_url: str | None = None
    scopes: tuple[str, ...] = ()
    is_step_up: bool = False


def challenge_in(response: httpx2.Response) -> Challenge | None:
    """The challenge of a refusal that a login could help against, else `None`."""
    is_step_up = (
        response.status_code == HTTPStatus.FORBIDDEN
        and extract_field_from_www_auth(response, "error") == "insufficient_scope"
    )
    if response.status_code != HTTPStatus.UNAUTHORIZED and not is_step_up:
        return None
    if len(response.headers.get("www-authenticate", "")) > LONGEST:
        return Challenge(is_step_up=is_step_up)
    return Challenge(
        extract_field_from_www_auth(response, "resource_metadata"),
        split_scopes(extract_field_from_www_auth(response, "scope")),
        is_step_up,
    )


def is_for_tokens(response: httpx2.Response) -> bool:
    """Whether a refusal asks for a bearer token."""
    says = response.headers.get("www-authenticate", "")
    return response.status_code == HTTPStatus.UNAUTHORIZED and says[:6].lower() == "bearer"


def plain_scopes(scopes: tuple[str, ...]) -> list[str]:
    """Those that may stand in a command and in a sentence: a shell and a model read them as a name and nothing else.

    Others a server could have chosen for what they do there.
    """
    return [scope for scope in scopes if PLAIN.fullmatch(scope)][:MOST_SHOWN]


def split_scopes(text: str | None) -> tuple[str, ...]:
    """Scopes as they stand in a parameter, each once and not without end.

    What cannot be one (RFC 6749, 3.3) is left out.
    """
    usable = dict.fromkeys(scope for scope in (text or "").split() if _is_scope(scope))
    return tuple(usable)[:MOST_SCOPES]


def noted_scopes(scopes: Sequence[str]) -> list[str]:
    """As they go into an event: a login that was kept before there was a limit may hold more."""
    return [scope[:LONGEST_SCOPE] for scope in scopes[:MOST_SCOPES]]


def _is_scope(text: str) -> bool:
    return len(text) <= LONGEST_SCOPE and text.isascii() and text.isprintable() and not set(text) & set('"\\')
