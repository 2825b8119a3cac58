"""Why a connection is not made, or is cut: one error for every rule of the proxy's own and of whoever decides."""

from __future__ import annotations

__all__ = ["RULES", "RefusedConnectionError"]

RULES = {
    "request": 400,  # no request that a proxy can serve
    "profile": 403,  # not in the server's list
    "address": 403,
    "sni": 403,
    "protocol": 403,
    "limit": 429,
    "unreachable": 502,
    "time": 504,
}
"""Rules of the proxy's own, and the HTTP status that tells of each. A rule of the policy's is a 403."""


class RefusedConnectionError(Exception):
    """A connection that the proxy does not make.

    Attributes:
        rule: one of `RULES`, or a rule of the policy's.
        remedy: what would allow it; may be empty.
        address: the address that was refused, if it came so far.
    """

    def __init__(self, rule: str, reason: str, *, remedy: str = "", address: str = "") -> None:
        super().__init__(reason)
        self.rule = rule
        self.remedy = remedy
        self.address = address

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return RULES.get(self.rule, 403)
