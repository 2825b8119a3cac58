"""Secrets in requests: a call names one, what goes out holds its placeholder, and what comes back neither.

The sandbox has a placeholder in the variable of the secret's name; the proxy puts the value in (docs/secrets.md).
"""

from __future__ import annotations

import os
from binascii import b2a_base64

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Credentials", "mask", "secret_names"]

_PLACEHOLDER = "muxi-secret-"


def secret_names() -> list[str]:
    """Of the secrets that the operator gave to this server."""
    return sorted(name for name, value in os.environ.items() if value.startswith(_PLACEHOLDER))


def mask(text: str) -> str:
    """The text with names in place of placeholders, which tell a model nothing."""
    if _PLACEHOLDER not in text:
        return text
    for name in secret_names():
        text = text.replace(os.environ[name], f"[secret {name}]")
    return text


class Credentials:
    """What a call's `auth` says.

    Attributes:
        headers: to be sent.
        query: to be added to the URL.
        words: which secret goes where, for messages; empty without one.
    """

    def __init__(self, auth: dict[str, Any]) -> None:
        self.headers: list[tuple[str, str]] = []
        self.query: list[tuple[str, str]] = []
        self.words = ""
        if auth:
            self._set(auth)

    def _set(self, auth: dict[str, Any]) -> None:
        secret, scheme = auth["secret"], auth.get("scheme", "bearer")
        names = secret_names()
        if secret not in names:
            raise ToolError(
                f"This server has no secret {secret[:64]!r}; it has: {', '.join(names) or 'none'}. An operator gives "
                "it one in muxi.yaml: servers.http.secrets (docs/servers/http.md, secrets)."
            )
        placeholder, name = os.environ[secret], auth.get("name", "")
        if scheme in {"header", "query"} and not name:
            raise ToolError(f"auth.name is missing: which {scheme} the secret goes in.")
        match scheme:
            case "bearer":
                self.headers = [("Authorization", f"Bearer {placeholder}")]
            case "basic":
                user = f"{auth.get('user', '')}:{placeholder}".encode()
                self.headers = [("Authorization", f"Basic {b2a_base64(user, newline=False).decode()}")]
            case "header":
                self.headers = [(name, placeholder)]
            case _:
                self.query = [(name, placeholder)]
        place = f"query parameter {name}" if self.query else f"header {self.headers[0][0]}"
        self.words = f"secret {secret} in the {place}"
