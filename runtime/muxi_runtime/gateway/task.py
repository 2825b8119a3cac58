"""One task, as the registry knows it. Above: `tasks`. Below: `owner`, one for each of its sandboxes."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import anyio

from muxi_runtime.gateway.rests import Rests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from muxi_runtime.gateway.owner import Owner
    from muxi_runtime.gateway.server_news import Watches
    from muxi_runtime.gateway.words import TaskWords
    from muxi_runtime.identity.principal import Principal
    from muxi_sandbox.contract import KeptSandbox

__all__ = ["Lift", "Mark", "Task", "new_sight"]


_SIGHTS = count()
_OF_THIS_PROCESS = secrets.token_hex(8)


def new_sight() -> str:
    """A text that was never there before, in any process. Asked for with each call of a task that has a label."""
    return f"{_OF_THIS_PROCESS}-{next(_SIGHTS)}"


@dataclass(slots=True)
class Mark:
    """Why a task has a label: the first event that set it.

    Attributes:
        why: a clause.
        source: SERVER.TOOL, or what else set it.
        call: the call's id; empty where it was none.
        at: ISO 8601, UTC.
        is_told: whether it is in the journal.
        seen: another text each time that something brings the label.
    """

    why: str
    source: str
    call: str
    at: str
    is_told: bool = False
    seen: str = field(default_factory=new_sight)


@dataclass(frozen=True, slots=True)
class Lift:
    """A label that is off by an approval.

    Attributes:
        mark: of the label, for when it is put on again.
        seen: the mark's, when the yes was found to be to what the task has seen.
        by: who allowed it, as text.
        until: ISO 8601, UTC; `None`: as long as the task.
    """

    mark: Mark
    seen: str
    approval: str
    by: str
    reason: str
    until: str | None


@dataclass(eq=False)
class Task:
    """One task of one principal.

    Attributes:
        key: what selects it beside its id: a legacy session, or the client's name; `None` for one made by `task_new`.
        calls: how many calls use it now; a task in use never idles out.
        used_at: monotonic seconds of the last use.
        labels: what it has seen, and why.
    """

    id: str
    principal: Principal
    key: tuple[str, str] | None
    client: str
    created_at: float
    used_at: float
    calls: int = 0
    owners: dict[str, Owner] = field(default_factory=dict)
    ended: bool = False
    kept: bool = False
    survivors: dict[str, KeptSandbox] = field(default_factory=dict)
    """By server: what an earlier runtime left of a kept task, and nobody has asked for yet."""
    notes: dict[str, str] = field(default_factory=dict)
    """By server: what the next caller has to know of the sandbox that it had before."""
    snapshot: str | None = None
    watches: dict[str, Watches] = field(default_factory=dict)
    """By server: what is watched, from one sandbox to the next."""
    running: dict[str, set[str]] = field(default_factory=dict)
    """By server: the ids of the calls that its sandbox works for now."""
    labels: dict[str, Mark] = field(default_factory=dict)
    lifted: dict[str, Lift] = field(default_factory=dict)
    """Labels that a person has taken off, until the task sees such content again."""
    labelling: anyio.Lock = field(default_factory=anyio.Lock)
    rests: Rests = field(default_factory=Rests)
    words: TaskWords | None = None
    """Once the user's are known."""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """It does not idle out inside the block."""
        self.begin_use("", "")
        try:
            yield
        finally:
            self.end_use("", "")

    def begin_use(self, server: str, call: str) -> None:
        """It does not idle out until `end_use`; this call may be at work in the sandbox of that server."""
        self.calls += 1
        self.running.setdefault(server, set()).add(call)

    def end_use(self, server: str, call: str) -> None:
        """The call is over."""
        self.running.get(server, set()).discard(call)
        self.calls -= 1
        self.used_at = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long nobody has used it; zero while a call runs."""
        return 0.0 if self.calls else time.monotonic() - self.used_at
