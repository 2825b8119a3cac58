"""Names of hosts: what a profile may say, what a client may ask for, and one form in which both are compared.

A rule is `example.org`, `*.example.org` (every name below it, not itself), `*` (every name, no address) or an address,
each with `:port` or without; without, it means the ports 80 and 443. Names are compared as lower-case ASCII, IDNA 2008
(RFC 5891) where they are not ASCII. Whatever a resolver might take for an address in another notation (decimal, octal,
hexadecimal, short forms) is no name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

import idna

__all__ = ["HostRule", "canonical_host", "parse_authority", "parse_rule", "permits"]

ANY = "*"
DEFAULT_PORTS = (80, 443)
LONGEST_NAME = 253
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
PORT = re.compile(r"[0-9]{1,5}")
HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class HostRule:
    """One entry of a profile's list; with `below` and no `host` it is every name."""

    host: str
    below: bool
    ports: tuple[int, ...]

    def covers(self, host: str, port: int) -> bool:
        """Whether it lets a canonical host through."""
        if port not in self.ports:
            return False
        if self.below:
            return host.endswith("." + self.host) if self.host else not _is_address(host)
        return host == self.host


def parse_rule(text: str) -> HostRule:
    """Read one entry of a profile's list.

    Raises:
        ValueError: it is none; the message completes "... is no host: ".
    """
    if text == ANY or text.startswith(ANY + ":"):
        return HostRule("", below=True, ports=(_port(text[2:]),) if text[1:] else DEFAULT_PORTS)
    below = text.startswith("*.")
    host, port = parse_authority(text[2:] if below else text)
    if below and (_is_address(host) or "." not in host):
        raise ValueError("a star stands for names below one that has a dot, as in *.example.org")
    return HostRule(host, below, DEFAULT_PORTS if port is None else (port,))


def permits(rules: tuple[HostRule, ...], host: str, port: int) -> bool:
    """Whether any rule covers it; no rules cover nothing."""
    return any(rule.covers(host, port) for rule in rules)


def parse_authority(text: str) -> tuple[str, int | None]:
    """The canonical host and the port of `host`, `host:port` or `[address]:port`.

    Raises:
        ValueError: it is none; the message says why.
    """
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("brackets are for an IPv6 address, as in [2001:db8::1]:443")
        return canonical_host(host), _port(rest[1:]) if rest else None
    if text.count(":") > 1:
        return canonical_host(text), None
    host, colon, port = text.partition(":")
    return canonical_host(host), _port(port) if colon else None


def _port(text: str) -> int:
    if not PORT.fullmatch(text) or not 0 < int(text) <= HIGHEST_PORT:
        raise ValueError(f"{text[:20]!r} is no port; use a number from 1 to {HIGHEST_PORT}")
    return int(text)


def canonical_host(text: str) -> str:
    """The one form of a name or address.

    Raises:
        ValueError: it is neither; the message says why.
    """
    if not text:
        raise ValueError("it is empty")
    if ":" in text or _is_address(text):
        return _canonical_address(text)
    name = text.removesuffix(".").lower()
    if not name.isascii():
        name = _to_ascii(name)
    if len(name) > LONGEST_NAME:
        raise ValueError(f"a name has at most {LONGEST_NAME} characters")
    labels = name.split(".")
    for label in labels:
        _check_label(label)
    if NUMBER.fullmatch(labels[-1]):
        raise ValueError("it looks like an address in an unusual notation; write it as 192.0.2.1")
    return name


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _canonical_address(text: str) -> str:
    if "%" in text:
        raise ValueError("an address has no zone here")
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("it is neither a name nor an address") from None


def _to_ascii(name: str) -> str:
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"it is no international name (IDNA 2008): {error}") from None


def _check_label(label: str) -> None:
    if not LABEL.fullmatch(label):
        raise ValueError(f"{label[:70]!r} is no part of a name")
    if label.startswith("xn--"):
        try:
            idna.ulabel(label)
        except (idna.IDNAError, UnicodeError) as error:
            raise ValueError(f"{label!r} is no international name (IDNA 2008): {error}") from None
