"""How often somebody may come: the seam between the HTTP face and whatever counts.

Above: `rate_limits`, which asks before each request. Below: `Buckets` (production on one machine; in process and in
memory, so that a restart forgives). Several hosts would share their counts by another implementation.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["WINDOW_SECONDS", "Buckets", "Rates", "Taken"]

WINDOW_SECONDS = 60
MOST = 10_000
"""Counts of one kind that are kept; the one that was not used for longest goes first."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What asking for one request gave.

    Attributes:
        kind: what was counted: `user`, `key`, `address`, ...
        allowed: whether it may be made.
        remaining: requests that could be made now.
        reset_seconds: until the whole quota is there again.
        retry_seconds: until the next request may be made; 0 where this one may.
    """

    kind: str
    allowed: bool
    remaining: int
    reset_seconds: int
    retry_seconds: int = 0


class Rates(Protocol):
    """Counts requests."""

    async def take(self, kind: str, who: str) -> Taken:
        """Count one request of `who`, if there is room for it."""


class Buckets:
    """Token buckets, by the generic cell rate algorithm: of each, only the time is kept at which it is full again.

    A bucket holds a minute's quota and fills evenly. One that is full is as good as none.
    """

    def __init__(
        self, quotas: Mapping[str, int], *, clock: Callable[[], float] = time.monotonic, most: int = MOST
    ) -> None:
        """`quotas` are requests a minute, by kind."""
        self._intervals = {kind: WINDOW_SECONDS / quota for kind, quota in quotas.items()}
        self._clock = clock
        self._most = most
        self._full_at: dict[str, OrderedDict[str, float]] = {kind: OrderedDict() for kind in quotas}

    async def take(self, kind: str, who: str) -> Taken:
        """See `Rates.take`."""
        now, interval, full_at = self._clock(), self._intervals[kind], self._full_at[kind]
        until = max(full_at.get(who, now), now)
        # Rounding of the clock must not cost a whole request.
        wait = until - now + interval - WINDOW_SECONDS - interval * 1e-6
        if wait > 0:
            return Taken(kind, False, 0, math.ceil(until - now), math.ceil(wait))  # noqa: FBT003 - named in the class
        until += interval
        full_at[who] = until
        full_at.move_to_end(who)
        if len(full_at) > self._most:
            full_at.popitem(last=False)
        left = int((WINDOW_SECONDS - (until - now)) / interval + 1e-6)
        return Taken(kind, True, left, math.ceil(until - now))  # noqa: FBT003 - named in the class
