"""Whether programs of this sandbox can reach anything, and what tools say of it."""

from __future__ import annotations

import os

__all__ = ["network_words", "reaches_hosts"]


def reaches_hosts() -> bool:
    """Whether the operator named hosts: only then is there a proxy."""
    return "HTTPS_PROXY" in os.environ


def network_words() -> str:
    """A sentence for a tool's description."""
    if reaches_hosts():
        return "Hosts that the operator allowed are reached over HTTP(S), by the proxy that HTTPS_PROXY names."
    return "There is no network."
