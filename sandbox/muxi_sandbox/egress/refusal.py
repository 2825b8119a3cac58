"""Why a connection is not made, or is cut: one error for every rule of the proxy's own and of whoever decides."""

from __future__ import annotations

__all__ = ["RULES", "RefusedConnectionError", "RefusedSecretError", "answer", "is_own"]

RULES = {
    "request": 400,  # no request that a proxy can serve
    "profile": 403,  # not in the server's list
    "address": 403,
    "sni": 403,
    "protocol": 403,
    "host": 403,  # a request inside a tunnel that names another host than the tunnel
    # a placeholder where it does not belong, or a secret that is not to be had
    "secret": 403,  # nosec B105  # a status
    "certificate": 502,
    "limit": 429,
    "unreachable": 502,
    "time": 504,
}
"""Rules of the proxy's own, and the HTTP status that tells of each. A rule of the policy's is a 403."""

PROXY = "muxi-runtime"
OWN_PREFIX = "x-muxi-"
"""Of headers that nobody but the proxy sends to a sandbox."""

PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


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
    def secret(self) -> str | None:
        """The name of the secret that it is about, empty for one that is not the server's; `None`: about none."""
        return None

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return RULES.get(self.rule, 403)


class RefusedSecretError(RefusedConnectionError):
    """A placeholder whose secret is not put in there."""

    def __init__(self, reason: str, *, secret: str = "", rule: str = "secret", remedy: str = "") -> None:
        super().__init__(rule, reason, remedy=remedy)
        self._secret = secret

    @property
    def secret(self) -> str | None:
        """See `RefusedConnectionError.secret`."""
        return self._secret


def answer(refusal: RefusedConnectionError) -> bytes:
    """An HTTP response that cannot be taken for the host's own, and which no host can imitate: see `is_own`."""
    text = f"{refusal}{' ' + refusal.remedy if refusal.remedy else ''} (rule {refusal.rule})\n"
    body = f"{PROXY}: {text}".encode("utf-8", "replace")
    head = (
        f"HTTP/1.1 {refusal.status} {PHRASES[refusal.status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nVia: 1.1 {PROXY}\r\nX-Muxi-Rule: {refusal.rule}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1", "replace") + body


def is_own(name: str, value: str) -> bool:
    """Whether a header says of an answer that it is the proxy's. A host's is left out, wherever heads are read."""
    return name.lower().startswith(OWN_PREFIX) or (name.lower() == "via" and PROXY in value.lower())
