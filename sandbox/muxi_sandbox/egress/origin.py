"""One request that is read along, as it goes on to its host: inside a tunnel, or plain.

A tunnel is for one host. Each request in it has to name that host: whatever else it said, somebody might have read it
in another way (RFC 9112, 3.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from muxi_sandbox.egress.heads import ABSOLUTE, END, body_length, named_values, onward_headers
from muxi_sandbox.egress.names import parse_authority
from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from muxi_sandbox.egress.contract import Destination
    from muxi_sandbox.egress.heads import Head

__all__ = ["OriginRequest", "origin_request"]

TARGET = re.compile(r"(\*|/[^?#]*)(\?[^#]*)?")
PORTS = {"http": 80, "connect": 443}
WEBSOCKET = "websocket"
RANGES = {"range", "if-range"}
FRAMING = {"content-length", "accept-encoding", "sec-websocket-extensions"}
"""Written anew, or left out so that what comes back can be read."""


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """A request without what belongs to one connection.

    Attributes:
        query: with its question mark, or empty.
        headers: without host, framing and those of one connection; all text is Latin-1.
        length: bytes of the body, `None` if it is chunked.
        upgrade: what it wants to go over to, or empty.
        keeps: whether its client would send another on the same connection.
    """

    method: str
    path: str
    query: str
    authority: str
    headers: tuple[tuple[str, str], ...]
    length: int | None
    encodings: str
    extensions: str
    upgrade: str
    keeps: bool
    expects: bool
    minor: str

    def with_text(self, path: str, query: str, headers: tuple[tuple[str, str], ...]) -> OriginRequest:
        """The same, with other text in it."""
        return replace(self, path=path, query=query, headers=headers)

    def onward(self, *, length: int | None, keeps: bool, readable: bool) -> bytes:
        """The head to send to the host. `readable`: what comes back must be neither compressed nor extended."""
        lines = [f"{self.method} {self.path}{self.query} HTTP/1.1", f"Host: {self.authority}"]
        # Two ranges that meet inside of a secret would bring its halves back.
        lines += [f"{name}: {value}" for name, value in self.headers if not (readable and name.lower() in RANGES)]
        if readable:
            lines.append("Accept-Encoding: identity")
        else:
            lines += [f"Accept-Encoding: {self.encodings}"] if self.encodings else []
            lines += [f"Sec-WebSocket-Extensions: {self.extensions}"] if self.extensions else []
        lines += _framing(length, self.method)
        if self.upgrade:
            lines += [f"Upgrade: {self.upgrade}", "Connection: Upgrade"]
        elif not keeps:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1") + END


def _framing(length: int | None, method: str) -> list[str]:
    if length is None:
        return ["Transfer-Encoding: chunked"]
    return [f"Content-Length: {length}"] if length or method not in {"GET", "HEAD", "OPTIONS", "DELETE"} else []


def origin_request(head: Head, destination: Destination) -> OriginRequest:
    """Understand it.

    Raises:
        RefusedConnectionError: with the rule `request`, or `host` for one that names another host.
    """
    path, query = _target(head, destination)
    authority = destination.host if ":" not in destination.host else f"[{destination.host}]"
    if destination.port != PORTS[destination.scheme]:
        authority = f"{authority}:{destination.port}"
    kept = tuple((name, value) for name, value in onward_headers(head.headers) if name.lower() not in FRAMING)
    words = {word.strip().lower() for value in named_values(head.headers, "connection") for word in value.split(",")}
    return OriginRequest(
        head.method,
        path,
        query,
        authority,
        kept,
        body_length(head.headers),
        ", ".join(named_values(head.headers, "accept-encoding")),
        ", ".join(named_values(head.headers, "sec-websocket-extensions")),
        upgrade=_upgrade(head) if "upgrade" in words else "",
        keeps=head.minor == "1" and "close" not in words and destination.scheme == "connect",
        expects="100-continue" in map(str.lower, named_values(head.headers, "expect")),
        minor=head.minor,
    )


def _target(head: Head, destination: Destination) -> tuple[str, str]:
    """Path and query."""
    target = head.target
    if destination.scheme == "connect":
        _require_same_host(head, destination)
    elif match := ABSOLUTE.fullmatch(target):
        target = match[2] if match[2].startswith("/") else f"/{match[2]}"
    found = TARGET.fullmatch(target)
    if found is None or head.method == "CONNECT":
        raise RefusedConnectionError("request", "A request in a tunnel names a path, and nothing else.")
    return found[1], found[2] or ""


def _require_same_host(head: Head, destination: Destination) -> None:
    named = named_values(head.headers, "host")
    if len(named) != 1:
        raise RefusedConnectionError("host", f"A request in a tunnel names its host {len(named)} times.")
    try:
        host, port = parse_authority(named[0])
    except ValueError as error:
        raise RefusedConnectionError("host", f"A request in a tunnel names {named[0][:300]!r}: {error}.") from None
    if (host, port or PORTS["connect"]) != (destination.host, destination.port):
        raise RefusedConnectionError(
            "host", f"A request in a tunnel to {destination.host}:{destination.port} is for {named[0][:300]!r}."
        )


def _upgrade(head: Head) -> str:
    wanted = named_values(head.headers, "upgrade")
    # Nothing else could be read along.
    return WEBSOCKET if len(wanted) == 1 and wanted[0].lower() == WEBSOCKET else ""
