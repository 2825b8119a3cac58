"""The head of one request to a proxy (RFC 9112), read more strictly than it is written.

What two programs could read in two ways is refused: a second way to tell a body's length, folded lines, single carriage
returns or line feeds, spaces before a colon, control characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from muxi_sandbox.egress.names import parse_authority
from muxi_sandbox.egress.refusal import RefusedConnectionError

__all__ = ["END", "Request", "parse_head"]

END = b"\r\n\r\n"
REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/1\.[01]")
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
LENGTH = re.compile(r"[0-9]{1,15}")
ABSOLUTE = re.compile(r"http://([^/?#]*)([^#]*)", re.IGNORECASE)
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "upgrade", "transfer-encoding", "host", "expect"}
"""Of one connection, not of the request (RFC 9110, 7.6.1); with those that `Connection` and `Proxy-` name."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks of the proxy.

    Attributes:
        host: canonical.
        onward: the head to send to the host; empty for a tunnel.
        length: bytes of the body, `None` if it is chunked.
    """

    is_tunnel: bool
    host: str
    port: int
    onward: bytes = b""
    length: int | None = 0

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
    first, *lines = head.decode("latin-1").split("\r\n")
    match = REQUEST_LINE.fullmatch(first)
    if match is None:
        raise _refuse("The first line is no request of HTTP/1.1.")
    method, target = match.groups()
    headers = [_header(line) for line in lines]
    length = _length(headers)
    if method == "CONNECT":
        if length != 0:
            raise _refuse("A CONNECT has no body.")
        host, port = _authority(target)
        if port is None:
            raise _refuse("A CONNECT names a host and a port.")
        return Request(is_tunnel=True, host=host, port=port)
    return _plain(method, target, headers, length)


def _header(line: str) -> tuple[str, str]:
    match = HEADER.fullmatch(line)
    if match is None:
        raise _refuse("A header line is malformed.")
    return match[1], match[2]


def _values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]


def _length(headers: list[tuple[str, str]]) -> int | None:
    lengths, codings = _values(headers, "content-length"), _values(headers, "transfer-encoding")
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


def _plain(method: str, target: str, headers: list[tuple[str, str]], length: int | None) -> Request:
    match = ABSOLUTE.fullmatch(target)
    if match is None:
        if target.lower().startswith("https:"):
            raise _refuse("For https, ask for a tunnel with CONNECT.")
        raise _refuse("This is a proxy: ask for http://host/path, or for a tunnel with CONNECT.")
    host, port = _authority(match[1])
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != 80:  # noqa: PLR2004  # what http means without
        authority = f"{authority}:{port}"
    path = match[2] if match[2].startswith("/") else f"/{match[2]}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {authority}", *_kept(headers), "Connection: close"]
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    onward = "\r\n".join(lines).encode("latin-1") + END
    return Request(is_tunnel=False, host=host, port=port or 80, onward=onward, length=length)


def _kept(headers: list[tuple[str, str]]) -> list[str]:
    named = {word.strip().lower() for value in _values(headers, "connection") for word in value.split(",")}
    # The length stays even if `Connection` names it: without it the body would be read as a request.
    dropped = (HOP_BY_HOP | named) - {"content-length"}
    return [
        f"{name}: {value}"
        for name, value in headers
        if name.lower() not in dropped and not name.lower().startswith("proxy-")
    ]
