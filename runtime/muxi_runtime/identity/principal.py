"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from muxi_runtime.identity.roles import Role

__all__ = ["LOCAL", "LOCAL_USER", "Principal"]

LOCAL_USER = "local"
"""The user of calls without a key, where the runtime is bound to loopback and takes them."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, by way of one API key, of one client's tokens, or of the loopback address.

    Two are the same if user and key are: the rest is what was known of them when they were last seen.

    Attributes:
        user: the user's name, unique in the installation.
        key: the public id of the key that was shown, or what stands for the client that a token was issued to; `None`
            for a call without either.
        role: the most that the user may do; the least of a person's where it is not known.
        groups: the user's, for the policy.
        scopes: what the key or token may be used for; `None` is all that the role allows.
    """

    user: str = LOCAL_USER
    key: str | None = None
    role: Role = field(default=Role.USER, compare=False)
    groups: frozenset[str] = field(default=frozenset(), compare=False)
    scopes: frozenset[str] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.user}/{self.key}" if self.key else self.user


LOCAL = Principal(role=Role.OWNER)
"""Whoever reaches the loopback address, where no key is needed: the machine's own operator."""
