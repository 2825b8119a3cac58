"""The seam between whatever happens and the journal that keeps it.

Above it: the one door, leases, keys, set-up. Below it: `sqlite.SqliteJournal` (production) and `memory.MemoryJournal`
(tests of what is above). Both pass `conformance`.

The chain: `hash` is SHA-256 over the canonical JSON (sorted keys, no spaces, UTF-8) of all other fields of the event,
`previous` among them; the first event's `previous` is 64 zeros. Changing, removing or reordering any event but a
run of the newest ones breaks it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["GENESIS", "Draft", "Event", "Journal"]

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Draft:
    """What happened, before it has its place in the chain.

    Attributes:
        kind: a dotted noun and past verb: `call.decided`, `call.finished`, `sandbox.leased`, `key.created`.
        principal: who, as `str(Principal)`.
        call: the id of the call that it belongs to.
        data: JSON values; no secrets, no tool output beyond sizes and hashes.
    """

    kind: str
    principal: str | None = None
    task: str | None = None
    call: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event(Draft):
    """One line of the journal.

    Attributes:
        seq: position, from 1, without gaps.
        at: UTC, ISO 8601 with microseconds and `Z`.
    """

    seq: int = 0
    at: str = ""
    previous: str = GENESIS
    hash: str = ""


class Journal(Protocol):
    """Appends and remembers."""

    async def append(self, draft: Draft) -> Event:
        """Durable when it returns (it survives the death of this process; of the machine, if so configured).

        Raises:
            JournalError: it could not be made durable. The caller must not go on as if it were.
        """

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Events appended from now on. A listener too slow for its bounded buffer loses its stream with an error."""
