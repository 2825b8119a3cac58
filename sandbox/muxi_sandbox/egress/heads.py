"""The head of one request to a proxy (RFC 9112), read more strictly than it is written.

What two programs could read in two ways is refused: a second way to tell a body's length, folded lines, single carriage
returns or line feeds, spaces before a colon, control characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muxi_sandbox.egress.names import parse_authority
from muxi_sandbox.egress.refusal import RefusedConnectionError

__all__ = ["END", "Head", "Request", "body_length", "named_values", "onward_headers", "parse_head", "read_head"]

END = b"\r\n\r\n"
REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])")
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
"""With the spaces around the value, for the reader to strip: to look for them here takes cubic time on many of them."""
SPACES = " \t"
LENGTH = re.compile(r"[0-9]{1,15}")
ABSOLUTE = re.compile(r"http://([^/?#]*)([^#]*)", re.IGNORECASE)
Headers: TypeAlias = Sequence[tuple[str, str]]
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "upgrade", "transfer-encoding", "host", "expect"}
"""Of one connection, not of the request (RFC 9110, 7.6.1); with those that `Connection` and `Proxy-` name."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head, not yet understood. `minor` is the digit after `HTTP/1.`; all text is Latin-1."""

    method: str
    target: str
    minor: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks of the proxy.

    Attributes:
        host: canonical.
        onward: the head to send to the host; empty for a tunnel.
        length: bytes of the body, `None` if it is chunked.
        head: as it came.
    """

    is_tunnel: bool
    host: str
    port: int
    onward: bytes = b""
    length: int | None = 0
    head: Head | None = None

    @property
    def scheme(self) -> str:
        """As `Destination.scheme`."""
        return "connect" if self.is_tunnel else "http"


def _refuse(reason: str) -> RefusedConnectionError:
    return RefusedConnectionError("request", reason)


def parse_head(head: bytes) -> Request:
    """Read a head, without its final empty line.

    Raises:
        RefusedConnectionError: with the rule `request`: why it is none that can be served.
    """
    read = read_head(head)
    length = body_length(read.headers)
    if read.method == "CONNECT":
        if length != 0:
            raise _refuse("A CONNECT has no body.")
        host, port = _authority(read.target)
        if port is None:
            raise _refuse("A CONNECT names a host and a port.")
        return Request(is_tunnel=True, host=host, port=port)
    return _plain(read, length)


def read_head(head: bytes) -> Head:
    """Take a head apart, without its final empty line.

    Raises:
        RefusedConnectionError: with the rule `request`.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    match = REQUEST_LINE.fullmatch(first)
    if match is None:
        raise _refuse("The first line is no request of HTTP/1.1.")
    return Head(match[1], match[2], match[3], tuple(_header(line) for line in lines))


def _header(line: str) -> tuple[str, str]:
    match = HEADER.fullmatch(line)
    if match is None:
        raise _refuse("A header line is malformed.")
    return match[1], match[2].strip(SPACES)


def named_values(headers: Headers, name: str) -> list[str]:
    """The values of every header of that name, which is in lower case."""
    return [value for key, value in headers if key.lower() == name]


def body_length(headers: Headers) -> int | None:
    """Bytes of a request's body, `None` if it is chunked.

    Raises:
        RefusedConnectionError: with the rule `request`: it is not told in one way.
    """
    lengths, codings = named_values(headers, "content-length"), named_values(headers, "transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise _refuse("The length of the body is told more than once.")
    if codings:
        if codings[0].lower() != "chunked":
            raise _refuse("The only transfer coding is chunked.")
        return None
    if not lengths:
        return 0
    if not LENGTH.fullmatch(lengths[0]):
        raise _refuse("The length of the body is no number.")
    return int(lengths[0])


def _authority(text: str) -> tuple[str, int | None]:
    if "@" in text:
        raise _refuse("A host is named without a user.")
    try:
        return parse_authority(text)
    except ValueError as error:
        raise _refuse(f"{text[:300]!r} is no host: {error}.") from None


def _plain(head: Head, length: int | None) -> Request:
    match = ABSOLUTE.fullmatch(head.target)
    if match is None:
        if head.target.lower().startswith("https:"):
            raise _refuse("For https, ask for a tunnel with CONNECT.")
        raise _refuse("This is a proxy: ask for http://host/path, or for a tunnel with CONNECT.")
    host, port = _authority(match[1])
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != 80:  # noqa: PLR2004  # what http means without
        authority = f"{authority}:{port}"
    path = match[2] if match[2].startswith("/") else f"/{match[2]}"
    kept = (f"{name}: {value}" for name, value in onward_headers(head.headers))
    lines = [f"{head.method} {path} HTTP/1.1", f"Host: {authority}", *kept, "Connection: close"]
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    onward = "\r\n".join(lines).encode("latin-1") + END
    return Request(is_tunnel=False, host=host, port=port or 80, onward=onward, length=length, head=head)


def onward_headers(headers: Headers) -> list[tuple[str, str]]:
    """Those that are of the request and not of one connection; the body's length is one of them."""
    named = {word.strip().lower() for value in named_values(headers, "connection") for word in value.split(",")}
    # The length stays even if `Connection` names it: without it the body would be read as a request.
    dropped = (HOP_BY_HOP | named) - {"content-length"}
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in dropped and not name.lower().startswith("proxy-")
    ]
