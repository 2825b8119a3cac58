"""The ready sandboxes of one spec: how many there are, how many there should be, and how it went."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from muxi_sandbox.pool.item import Item, Session, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from muxi_sandbox.contract import Spec

__all__ = ["Shelf", "ShelfReport"]

S = TypeVar("S", bound=Session)
SAMPLES = 200
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two tries after one failed; doubled each time."""


@dataclass(frozen=True, slots=True)
class ShelfReport:
    """What `status` shows of one server's ready sandboxes. Times are in seconds, `None` where nothing was timed."""

    server: str
    image: str
    ready: int
    starting: int
    claimed: int
    wanted: int
    floor: int
    ceiling: int
    hits: int
    misses: int
    waits: int
    claim_seconds: float | None
    slowest_claim_seconds: float | None
    prepare_seconds: float | None
    failing: str


@dataclass(eq=False)
class Shelf(Generic[S]):
    """Keeps the numbers; the pool does the work. `half_life` is that of the demand, in seconds."""

    spec: Spec
    floor: int
    ceiling: int
    half_life: float
    items: list[Item[S]] = field(default_factory=list)
    hits: int = 0
    misses: int = 0
    waits: int = 0
    claims: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    preparations: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    failing: str = ""
    _demand: float = 0.0
    _demand_at: float = field(default_factory=anyio.current_time)
    _pause: float = FIRST_PAUSE
    _resumes_at: float = 0.0

    def in_state(self, state: State) -> list[Item[S]]:
        """Items, the oldest first."""
        return [item for item in self.items if item.state is state]

    def note_demand(self) -> None:
        """Somebody wants one."""
        self._demand = self._current_demand() + 1
        self._demand_at = anyio.current_time()

    def _current_demand(self) -> float:
        return float(self._demand * 0.5 ** ((anyio.current_time() - self._demand_at) / self.half_life))

    @property
    def wanted(self) -> int:
        """How many should be ready: the floor, and as many more as were asked for lately."""
        return min(max(self.floor, self.ceiling), self.floor + math.floor(self._current_demand() + 0.5))

    @property
    def missing(self) -> int:
        """How many to make now; none while it fails."""
        if anyio.current_time() < self._resumes_at:
            return 0
        return self.wanted - len(self.in_state(State.READY)) - len(self.in_state(State.STARTING))

    @property
    def resumes_in(self) -> float:
        """Seconds until the next try, after a failure; zero if there is nothing to wait for."""
        return max(0.0, self._resumes_at - anyio.current_time())

    def surplus(self, max_age: float) -> Iterator[Item[S]]:
        """Ready items that are too old, or more than wanted."""
        ready = self.in_state(State.READY)
        oldest = anyio.current_time() - max_age
        old = [item for item in ready if item.started_at < oldest]
        yield from old
        young = [item for item in ready if item not in old]
        yield from young[: max(0, len(young) - self.wanted)]

    def note_success(self, seconds: float) -> None:
        """One became ready."""
        self.preparations.append(seconds)
        self.failing, self._pause, self._resumes_at = "", FIRST_PAUSE, 0.0

    def note_failure(self, error: Exception) -> None:
        """One could not be made, or died while it waited."""
        self.failing = str(error)[:500]
        if self.resumes_in:
            return  # one of several that failed together, as when the engine stops
        self._resumes_at = anyio.current_time() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def report(self) -> ShelfReport:
        """The numbers now."""
        return ShelfReport(
            server=self.spec.server,
            image=self.spec.image,
            ready=len(self.in_state(State.READY)),
            starting=len(self.in_state(State.STARTING)),
            claimed=len(self.in_state(State.CLAIMED)),
            wanted=self.wanted,
            floor=self.floor,
            ceiling=self.ceiling,
            hits=self.hits,
            misses=self.misses,
            waits=self.waits,
            claim_seconds=median(self.claims) if self.claims else None,
            slowest_claim_seconds=max(self.claims, default=None),
            prepare_seconds=median(self.preparations) if self.preparations else None,
            failing=self.failing,
        )
