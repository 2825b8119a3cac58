"""What stands for a secret in the sandboxes of one server: the same in each, so that they can be made ahead."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["placeholder"]

DIGITS = 32


def placeholder(installation: str, server: str, name: str) -> str:
    """`muxi-secret-` and 32 hexadecimal digits: an HMAC (RFC 2104, SHA-256) of server and name.

    It is no secret, and of no use to another server. It cannot be mistaken for one of another installation.
    """
    told = hmac.new(installation.encode(), f"{server}\0{name}".encode(), hashlib.sha256)
    return f"muxi-secret-{told.hexdigest()[:DIGITS]}"
