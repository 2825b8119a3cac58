"""URLs of tool arguments and of redirects: read strictly, and brought into one form."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

from muxi_servers.kit.errors import ToolError

__all__ = ["MAX_URL", "Url", "parse_url"]

MAX_URL = 8_000
_PORTS = {"http": 80, "https": 443}
_FIRST_PRINTABLE = 0x20
_DELETE = 0x7F
_KEPT = "%/:=&?~+!$,;'@()*[]|"
"""What is left as it is in a path or query; everything else that is not a letter or digit is percent-encoded."""


class Url:
    """One of http or https.

    Attributes:
        host: ASCII, lower case; an IPv6 address without its brackets.
        target: path and query as a request names them, percent-encoded.
        origin: scheme, host and port, the port left out where it is the scheme's own.
    """

    __slots__ = ("host", "origin", "port", "scheme", "target")

    def __init__(self, scheme: str, host: str, port: int, target: str) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target
        self.origin = f"{scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """As a `Host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def join(self, reference: str) -> Url:
        """Where a link or a `Location` header leads from here.

        Raises:
            ToolError: nowhere that could be asked for.
        """
        check_characters(reference)
        try:
            return parse_url(urljoin(str(self), reference))
        except ValueError as error:
            raise ToolError(f"{reference[:200]!r} is no URL: {error}.") from None

    def __str__(self) -> str:
        return self.origin + self.target


def check_characters(text: str) -> None:
    """Refuse what `urllib` would silently drop.

    Raises:
        ToolError: a control character, or too long.
    """
    if len(text) > MAX_URL:
        raise ToolError(f"The URL has {len(text)} characters; {MAX_URL} at most.")
    if any(ord(char) < _FIRST_PRINTABLE or ord(char) == _DELETE for char in text):
        raise ToolError("The URL has a control character in it: leave it out, or percent-encode it.")


def parse_url(text: str) -> Url:
    """Read a whole URL. Its fragment is dropped: it is not for the host.

    Raises:
        ToolError: it is none, or one that may not be asked for; the message says why.
    """
    check_characters(text)
    try:
        parts = urlsplit(text.strip())
        port = parts.port
        host = _ascii_host(parts.hostname or "")
    except ValueError as error:
        raise ToolError(f"{text[:200]!r} is no URL: {error}.") from None
    if parts.scheme not in _PORTS:
        raise ToolError(
            f"{text[:200]!r} is no URL of http or https: give a whole one, such as https://example.com/page."
        )
    if not host:
        raise ToolError(f"{text[:200]!r} names no host: give a whole URL, such as https://example.com/page.")
    if parts.username is not None or parts.password is not None:
        raise ToolError("A URL may not hold a user or a password: leave out what stands before the @.")
    target = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    return Url(parts.scheme, host, port or _PORTS[parts.scheme], target)


def _ascii_host(host: str) -> str:
    """Raises ValueError (UnicodeError among them): it is none."""
    if host.isascii():
        if any(char in host for char in ' "<>\\^`{|}%'):
            raise ValueError("the host has a character that no host has")
        return host.lower()
    return host.encode("idna").decode("ascii").lower()
