"""Where the requests of a document go: its `servers`, as addresses that mean one host and nothing besides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from muxi_runtime.errors import ConfigError
from muxi_sandbox.egress.names import parse_authority

__all__ = ["SAFE", "Address", "checked_path", "first_address", "is_private", "parse_address"]

MAX_URL = 1000
PORTS = {"https": 443, "http": 80}
_VARIABLE = re.compile(r"\{([^{}]{1,100})\}")
_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH = re.compile(r"%(?:25)*2[fF]")
SAFE = "/-._~!$&'()*+,;=:@%"
"""What may stand in a path as it is (RFC 3986, section 3.3)."""


@dataclass(frozen=True, slots=True)
class Address:
    """The base of requests.

    Attributes:
        host: canonical: lower-case ASCII, or an address.
        path: percent-encoded, with no slash at its end.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """`host:port`, as profiles have it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole, without the port where it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def first_address(levels: Sequence[object], base: str) -> Address | None:
    """Of the first server of the first level that has any: an operation's own, its path's, the document's.

    `base`: the URL of the document, empty for a file. `None`: there is none at all.

    Raises:
        ConfigError: it is none that requests can be sent to.
    """
    for servers in levels:
        if isinstance(servers, list) and servers:
            server = servers[0] if isinstance(servers[0], Mapping) else {}
            return parse_address(_filled(server), base)
    return None


def parse_address(text: str, base: str = "") -> Address:
    """Read one URL.

    Raises:
        ConfigError: it is none that requests can be sent to.
    """
    if not text or len(text) > MAX_URL or not text.isprintable() or "\\" in text or " " in text:
        raise _wrong(text, "it is empty, too long, or holds characters that no URL has")
    whole = urljoin(base, text) if base else text
    try:
        parts = urlsplit(whole)
        if parts.scheme not in PORTS or not parts.netloc:
            reason = "it is relative, and the document is a file" if not parts.scheme else "it is not of http or https"
            raise _wrong(text, reason)
        if "@" in parts.netloc:
            raise _wrong(text, "it holds a user or a password")
        host, port = parse_authority(parts.netloc)
    except ValueError as error:
        raise _wrong(text, str(error)) from error
    if parts.query or parts.fragment:
        raise _wrong(text, "it has a query or a fragment")
    try:
        path = checked_path(parts.path.rstrip("/")) if parts.path.rstrip("/") else ""
    except ValueError as error:
        raise _wrong(text, str(error)) from error
    return Address(parts.scheme, host, port or PORTS[parts.scheme], path)


def checked_path(path: str) -> str:
    """A path as it is sent, percent-encoded.

    Raises:
        ValueError: it begins otherwise than with one slash, climbs, or holds what is read in two ways.
    """
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("a path begins with one slash")
    decoded = unquote(unquote(path))
    if not decoded.isprintable() or _ENCODED.search(path) or any(char in decoded for char in "\\?#"):
        raise ValueError("a path holds characters that it may not")
    if _SLASH.search(path):
        raise ValueError("a path holds an encoded slash")
    if any(part in {".", ".."} for part in decoded.split("/")):
        raise ValueError("a path climbs: it has . or .. in it")
    return quote(path, safe=SAFE)


def is_private(host: str) -> bool:
    """Whether it is an address that is not public; a name never is."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _filled(server: Mapping[str, Any]) -> str:
    """The URL with the defaults of its variables in it; no further than addresses are read."""
    variables = server.get("variables")
    variables = variables if isinstance(variables, Mapping) else {}

    url = server.get("url")
    if not isinstance(url, str):
        return ""
    filled = ""
    # A URL that is too long itself is not searched: every operation may have it.
    for number, part in enumerate(_VARIABLE.split(url) if len(url) <= MAX_URL else [url]):
        filled += part if number % 2 == 0 else _default(variables, part, url)
        if len(filled) > MAX_URL:
            raise _wrong(url, f"it is too long: it has more than {MAX_URL} characters")
    return filled


def _default(variables: Mapping[str, Any], name: str, url: str) -> str:
    variable = variables.get(name)
    value = variable.get("default") if isinstance(variable, Mapping) else None
    if not isinstance(value, str | int | float):
        raise _wrong(url, f"its variable {name!a} has no default")
    return str(value)


def _wrong(text: str, reason: str) -> ConfigError:
    return ConfigError(
        f"The server {text[:100]!a} of the document is no address to send requests to: {reason}.",
        remedy="Give one with --server https://host/path.",
    )
