"""What stands for a secret in a sandbox, and how it is found in what a sandbox sends.

A placeholder is no secret: who knows it can do nothing with it but what the proxy allows its sandbox. Finding one where
it does not belong tells of a mistake or an attack; a sender that wants to hide it can, and gains nothing.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

__all__ = ["PLACEHOLDER", "Watch", "canonical", "hides_one"]

PREFIX = b"muxi-secret-"
PLACEHOLDER = re.compile(r"muxi(?:-|%2[dD])secret(?:-|%2[dD])([0-9a-f]{32})")
"""Hyphens are never percent-encoded by a client that follows RFC 3986, but may be."""


def _encoded_prefixes() -> list[bytes]:
    """What base64 makes of the prefix at each place in a group of three, as far as nothing else has part in it."""
    found = []
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + PREFIX)
        found.append(encoded[-(-8 * before // 6) : 8 * (before + len(PREFIX)) // 6])
    return found


_ENCODED = rb"(?:" + rb"|".join(map(re.escape, _encoded_prefixes())) + rb")[A-Za-z0-9+/_-]{40}"
_ANY = re.compile(rb"muxi(?:-|%2[dD])secret(?:-|%2[dD])[0-9a-f]{32}|" + _ENCODED)
_LONGEST = 60
"""Bytes of a match of `_ANY`, at most."""


def canonical(match: re.Match[str]) -> str:
    """The placeholder as the sandbox was given it."""
    return f"{PREFIX.decode()}{match[1]}"


def hides_one(text: str) -> bool:
    """Whether a part of a head holds one in an encoding: percent (RFC 3986), once or twice, or base64."""
    data = text.encode("latin-1", "replace")
    for _ in range(3):
        if _ANY.search(data):
            return True
        if b"%" not in data:
            return False
        data = unquote_to_bytes(data)
    return False


class Watch:
    """Looks for placeholders, as they are or in base64, in bytes that come in pieces."""

    def __init__(self) -> None:
        self._tail = b""

    def sees(self, data: bytes) -> bool:
        """Whether one ends in this piece."""
        looked_at = self._tail + data
        self._tail = looked_at[-_LONGEST:]
        return _ANY.search(looked_at) is not None
