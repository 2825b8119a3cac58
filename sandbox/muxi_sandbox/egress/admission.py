"""How many connections a sandbox may open and hold, and how many refusals are written down one by one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from muxi_sandbox.egress.settings import EgressSettings

__all__ = ["Admission", "Places", "Tally"]

MINUTE = 60


class Places:
    """A number of connections at once. `name` is the setting's."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place for the block.

        Raises:
            RefusedConnectionError: with the rule `limit`: none is free.
        """
        if self._taken >= self._count:
            raise RefusedConnectionError("limit", f"The limit egress.{self._name} of {self._count} is reached.")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Admission:
    """One sandbox's connections: so many at once, so many a second (a bucket of tokens, twice as many in a burst)."""

    def __init__(self, settings: EgressSettings, everyone: Places) -> None:
        self._rate = settings.connections_per_second
        self._tokens = self._burst = max(1.0, 2 * self._rate)
        self._filled_at = anyio.current_time()
        self._own = Places("connections", settings.connections)
        self._everyone = everyone

    @contextmanager
    def one(self) -> Iterator[None]:
        """Let one connection in for the block.

        Raises:
            RefusedConnectionError: with the rule `limit`.
        """
        now = anyio.current_time()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            raise RefusedConnectionError(
                "limit", f"The limit egress.connections_per_second of {self._rate:g} is reached; try again later."
            )
        self._tokens -= 1
        with self._own.one(), self._everyone.one():
            yield


class Tally:
    """A sandbox that asks for what is refused, as fast as it can, must not fill the journal."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._began_at = anyio.current_time()
        self._told = 0
        self.untold = 0
        """Refusals that were counted only, since one was last written down."""

    def may_tell(self) -> bool:
        """Whether the next refusal is written down; if not it is counted here."""
        now = anyio.current_time()
        if now - self._began_at >= MINUTE:
            self._began_at, self._told = now, 0
        if self._told >= self._per_minute:
            self.untold += 1
            return False
        self._told += 1
        return True

    def take(self) -> int:
        """The number of refusals that were only counted; from zero again."""
        count, self.untold = self.untold, 0
        return count
