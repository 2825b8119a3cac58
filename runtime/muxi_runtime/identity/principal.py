"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LOCAL_USER", "Principal"]

LOCAL_USER = "local"
"""The user of calls without a key, where the runtime is bound to loopback and takes them."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, by way of one API key or of the loopback address.

    Attributes:
        user: the user's name, unique in the installation.
        key: the public id of the key that was shown, `None` for a call without one.
    """

    user: str = LOCAL_USER
    key: str | None = None

    def __str__(self) -> str:
        return f"{self.user}/{self.key}" if self.key else self.user
