"""Puts values of secrets where their placeholders stand, on one connection; refuses placeholders anywhere else.

    placeholder ─▶ whose? ─▶ for this host? ─▶ in this place? ─▶ policy, vault ─▶ told ─▶ the value

A value is asked for at its first use on a connection, and once.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from muxi_sandbox.egress.masking import Mask, Texts
from muxi_sandbox.egress.placeholders import PLACEHOLDER, canonical, hides_one
from muxi_sandbox.egress.refusal import RefusedSecretError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from muxi_sandbox.contract import SecretPlace
    from muxi_sandbox.egress.contract import Destination, Peer
    from muxi_sandbox.egress.origin import OriginRequest

__all__ = ["Substitution"]

URI_KEEPS = ";,/?:@&=+$-_.!~*'()#"
"""What JavaScript's encodeURI leaves as it is."""
MOST_CREDENTIALS = 16
"""Different Basic credentials of one connection that are masked as a whole."""
SHORTEST_CORE = 8
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
HANDSHAKE = "sec-websocket-"
"""Headers from which a host has to compute what it answers: a digest of a value could not be replaced in that."""
BASIC = re.compile(r"(Basic[ \t]+)([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)
"""RFC 7617: what curl, git and others make of a user and a password."""


class Substitution:
    """For one connection to one destination."""

    def __init__(
        self,
        peer: Peer,
        destination: Destination,
        ask: Callable[[str], Awaitable[str]],
        known: Callable[[], Awaitable[Mapping[str, str]]],
    ) -> None:
        """`ask` gives the value of a secret by name, or raises; `known` those that must not come back, by name."""
        self._server = peer.server
        self._routes = {route.placeholder: route for route in peer.secrets}
        self._place = destination.place
        self._ask = ask
        self._values: dict[str, str] = {}
        """By placeholder."""
        self._masked: dict[bytes, bytes] = {}
        self._texts: Texts | None = None
        """The same, made ready; `None` when there is more since. A host can have a mask made for every two bytes."""
        self._values_sent: set[bytes] = set()
        self._known = known
        self._placeholders = {route.name: route.placeholder for route in peer.secrets}
        self._hidden: set[str] = set()

    async def renew(self) -> None:
        """Have what must not come back up to date: a secret may have got another value since. Earlier ones stay.

        Raises:
            RefusedSecretError: the values cannot be read.
        """
        for name, value in (await self._known()).items():
            if name in self._placeholders:
                self._hide(value, self._placeholders[name])

    def mask(self) -> Mask | None:
        """For one response; `None` if there is nothing that must not come back."""
        if not self._masked:
            return None
        self._texts = self._texts or Texts(self._masked)
        return Mask(self._texts)

    @property
    def reads_answers(self) -> bool:
        """Whether this host gets values of secrets at all."""
        return bool(self._masked) or any(self._place in route.hosts for route in self._routes.values())

    @property
    def may_be_in_body(self) -> bool:
        """Whether a body has to be looked through before it is sent."""
        return any(self._place in route.hosts and "body" in route.places for route in self._routes.values())

    async def head(self, request: OriginRequest) -> OriginRequest:
        """The request with values in it.

        Raises:
            RefusedSecretError: a placeholder is not replaced here.
        """
        path = await self._put_in(request.path, "path", _percent)
        query = await self._put_in(request.query, "query", _percent)
        headers = tuple([await self._header(name, value) for name, value in request.headers])
        return request.with_text(path, query, headers)

    async def body(self, data: bytes, kind: str) -> bytes:
        """A whole body with values in it; `kind` is its media type. Raises RefusedSecretError as `head`."""
        text = data.decode("latin-1")
        if not PLACEHOLDER.search(text):
            return data
        return (await self._put_in(text, "body", _written_for(kind))).encode("latin-1")

    def refuse_body(self) -> RefusedSecretError:
        """For a body in which one was seen that is not to be replaced."""
        return self._refusal("A placeholder of a secret stands in a body, where none is replaced.")

    async def _header(self, name: str, value: str) -> tuple[str, str]:
        if PLACEHOLDER.search(name):
            raise self._refusal("A placeholder of a secret is the name of a header.")
        basic = BASIC.fullmatch(value)
        credentials = _decoded(basic[2]) if basic else ""
        if name.lower().startswith(HANDSHAKE) and PLACEHOLDER.search(f"{value} {credentials}"):
            raise self._refusal(
                "A placeholder of a secret stands in the handshake of a WebSocket, where none is replaced."
            )
        if basic is None or not PLACEHOLDER.search(credentials):
            return name, await self._put_in(value, "header", _utf8)
        put_in = await self._put_in(credentials, "header", _utf8)
        sent = base64.b64encode(put_in.encode("latin-1"))
        if len(self._values_sent) < MOST_CREDENTIALS:  # of more, the value's own part is masked all the same
            self._values_sent.add(sent)
            self._also_masked({sent: basic[2].encode("ascii")})
        return name, f"{basic[1]}{sent.decode('ascii')}"

    async def _put_in(self, text: str, place: SecretPlace, written: Callable[[str], str]) -> str:
        found = dict.fromkeys(map(canonical, PLACEHOLDER.finditer(text)))
        for placeholder in found:
            await self._admit(placeholder, place)
        if place != "body" and hides_one(PLACEHOLDER.sub("", text)):
            raise self._refusal("A placeholder of a secret is encoded in a way that is not replaced.")
        return PLACEHOLDER.sub(lambda match: written(self._values[canonical(match)]), text)

    async def _admit(self, placeholder: str, place: SecretPlace) -> None:
        """See that the value may be put in, and have it at hand."""
        route = self._routes.get(placeholder)
        if route is None:
            raise self._refusal(f"This is no placeholder of server {self._server!r}.")
        if self._place not in route.hosts:
            raise self._refusal(
                f"The secret {route.name} of server {self._server!r} is not for {self._place}.",
                route.name,
                f"An operator can allow it: servers.{self._server}.secrets.{route.name}.hosts in muxi.yaml.",
            )
        if place not in route.places:
            raise self._refusal(
                f"The secret {route.name} of server {self._server!r} may not stand in the {place} of a request.",
                route.name,
                f"An operator can allow it: servers.{self._server}.secrets.{route.name}.places in muxi.yaml.",
            )
        if placeholder not in self._values:
            value = await self._ask(route.name)
            self._hide(value, placeholder)
            self._values[placeholder] = value

    def _hide(self, value: str, placeholder: str) -> None:
        """In the forms in which a host may send it back without having meant to."""
        if value in self._hidden:
            return
        self._hidden.add(value)
        percent = quote(value, safe="")
        forms = {value, percent, quote_plus(value), _ESCAPE.sub(lambda match: match[0].lower(), percent)}
        forms |= {_json(value), _json(value).replace("/", r"\/"), json.dumps(value, ensure_ascii=False)[1:-1]}
        forms |= {html.escape(value), html.escape(value, quote=False)}
        forms |= {quote(value), quote(value, safe=URI_KEEPS), *_other_escapes(value)}
        for core in _base64_cores(value):
            forms |= {core, core.replace("/", r"\/"), quote(core, safe="")}
        self._also_masked({form.encode("utf-8"): placeholder.encode("ascii") for form in forms})

    def _also_masked(self, more: Mapping[bytes, bytes]) -> None:
        if not more.items() <= self._masked.items():
            self._masked |= more
            self._texts = None

    @staticmethod
    def _refusal(reason: str, secret: str = "", remedy: str = "") -> RefusedSecretError:  # nosec B107  # a name
        return RefusedSecretError(reason, secret=secret, remedy=remedy)


def _other_escapes(value: str) -> Iterator[str]:
    """As Go's and .NET's JSON, and other writers of HTML, have it."""
    json_text = _json(value)
    for unsafe in ("&<>", "&<>+'", "&<>+'\""):
        upper = "".join(f"\\u{ord(char):04X}" if char in unsafe else char for char in json_text)
        yield upper
        yield re.sub(r"\\u[0-9A-F]{4}", lambda match: match[0].lower(), upper)
    for unsafe in ("&<>\"'", "&<>\"'+", "&<>\"'/", "&<>\"'/=`"):
        named = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
        yield "".join(named.get(char, f"&#{ord(char)};") if char in unsafe else char for char in value)
        yield "".join(named.get(char, f"&#x{ord(char):X};") if char in unsafe else char for char in value)
        yield "".join(named.get(char, f"&#x{ord(char):x};") if char in unsafe else char for char in value)


def _base64_cores(value: str) -> Iterator[str]:
    """What base64 makes of it wherever it stands, as behind the user's name in Basic credentials (RFC 7617)."""
    raw = value.encode("utf-8")
    for shift, begin in ((0, 0), (1, 2), (2, 3)):
        core = base64.b64encode(bytes(shift) + raw)[begin : (shift + len(raw)) * 8 // 6]
        if len(core) >= SHORTEST_CORE:
            yield core.decode("ascii")


def _decoded(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode("latin-1")
    except binascii.Error:
        return ""


def _utf8(value: str) -> str:
    """As bytes that are one character each."""
    return value.encode("utf-8").decode("latin-1")


def _percent(value: str) -> str:
    return quote(value, safe="")


def _json(value: str) -> str:
    return json.dumps(value)[1:-1]


def _written_for(kind: str) -> Callable[[str], str]:
    """How a value is written in a body of that media type."""
    kind = kind.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return quote_plus
    return _json if kind == "application/json" or kind.endswith("+json") else _utf8
