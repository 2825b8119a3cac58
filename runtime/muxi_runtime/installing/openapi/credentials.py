"""What an API wants to be shown: its security schemes, as secrets that the operator sets and the proxy puts in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi.names import MAX_SECRET, Names, secret_name, shown
from muxi_runtime.installing.openapi.references import References

__all__ = ["FORBIDDEN_HEADERS", "TOKEN", "Credential", "Credentials", "UnknownSchemeError", "is_free_header"]

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""A name of a header (RFC 9110, section 5.6.2)."""
FORBIDDEN_HEADERS = frozenset(
    (
        *("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"),
        *("content-encoding", "content-type", "accept", "accept-encoding", "expect", "authorization", "cookie"),
        *("via", "forwarded", "range", "if-range", "x-method-override", "x-real-ip", "date", "origin", "referer"),
    )
)
"""What the client, the proxy or the credentials write; and what makes another request of the one that was accepted."""
_FORBIDDEN_BEGINNINGS = ("proxy-", "sec-", "x-forwarded", "x-http-method", "x-muxi", "x-original-", "x-rewrite-")


MAX_WAYS = 20
"""To show credentials, and parts of one, that are looked at."""
MAX_SCHEMES = 100
"""Credentials that the operations of a document want."""


class UnknownSchemeError(Exception):
    """Every way to show credentials is one that is not known here; the text names them."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One thing to show.

    Attributes:
        place: `header`, `query` or `cookie`.
        name: of the header, query parameter or cookie.
        form: `plain`, `bearer` or `basic`.
    """

    secret: str
    place: str
    name: str
    form: str
    told: str = ""

    def document(self) -> dict[str, str]:
        """As the server reads it."""
        return {"secret": self.secret, "in": self.place, "name": self.name, "form": self.form}

    @property
    def profile_place(self) -> str:
        """Where in a request the proxy puts it in."""
        return "query" if self.place == "query" else "header"


@dataclass(slots=True)
class Credentials:
    """Of one document, for a server of that name."""

    server: str
    schemes: Mapping[str, Any]
    references: References
    _known: dict[str, Credential | None] = field(default_factory=dict)
    _names: Names = field(default_factory=lambda: Names(MAX_SECRET))

    def wanted(self, requirements: object) -> tuple[list[Credential], bool]:
        """What to show, and whether the API answers without it too: the first way whose parts are all known.

        Raises:
            UnknownSchemeError: there is no such way.
            ConfigError: the document's operations want too many.
        """
        given = requirements[:MAX_WAYS] if isinstance(requirements, list) else []
        ways = [way for way in given if isinstance(way, Mapping) and len(way) <= MAX_WAYS]
        optional = not ways or any(not way for way in ways)
        for way in filter(None, ways):
            found = [self._scheme(name) for name in way]
            known = [credential for credential in found if credential is not None]
            if len(known) == len(found):
                return known, optional
        if not optional:
            raise UnknownSchemeError(", ".join(dict.fromkeys(shown(name, 40) for way in ways for name in way)))
        return [], True

    def _scheme(self, name: str) -> Credential | None:
        if name not in self._known:
            if len(self._known) >= MAX_SCHEMES:
                raise ConfigError(f"the document's operations want more than {MAX_SCHEMES} credentials")
            scheme = self.references.resolve(self.schemes.get(name))
            made = _read(scheme)
            if made is None:
                self._known[name] = None
            else:
                secret = self._names.unique(secret_name(self.server, name))
                told = shown(scheme.get("description"), 200)
                self._known[name] = Credential(secret, *made, told)
        return self._known[name]


def is_free_header(name: object) -> bool:
    """Whether a document may have a header of this name sent."""
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        return False
    return name.lower() not in FORBIDDEN_HEADERS and not name.lower().startswith(_FORBIDDEN_BEGINNINGS)


def _read(scheme: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Place, name and form; `None` for what is not known."""
    kind, way = scheme.get("type"), str(scheme.get("scheme", "")).lower()
    if kind in ("oauth2", "openIdConnect") or (kind == "http" and way == "bearer"):
        return "header", "Authorization", "bearer"
    if kind == "http" and way == "basic":
        return "header", "Authorization", "basic"
    name, place = scheme.get("name"), scheme.get("in")
    if kind != "apiKey" or not isinstance(name, str) or not TOKEN.fullmatch(name):
        return None
    if place == "header" and (is_free_header(name) or name.lower() == "authorization"):
        return "header", name, "plain"
    return (str(place), name, "plain") if place in ("query", "cookie") else None
