"""One call on its way through the door, and what the journal is told of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from muxi_runtime.gateway.guard import Tally
from muxi_runtime.gateway.subjects import Subject
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from muxi_runtime.gateway.caller import Caller, CallRequest
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.tools import Tool
    from muxi_runtime.journal.contract import Journal
    from muxi_runtime.policy.provenance import Origin

__all__ = ["Call", "CallLog", "new_call_id"]

_RANDOM_BYTES = 6
FAREWELL_SECONDS = 5
"""How long the journal may take to note a call whose caller has gone."""


def new_call_id() -> str:
    """An id that no call had. Those of one time stand together in the journal's index: that is less to write."""
    return f"c-{time.time_ns() // 1_000_000:011x}{os.urandom(_RANDOM_BYTES).hex()}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way through the door."""

    id: str
    request: CallRequest
    caller: Caller
    tool: Tool | Subject
    task: Task | None
    started: float
    fingerprint: str
    """What an approval is bound to: this pinned tool with these arguments."""
    found: dict[str, object] = field(default_factory=dict)
    """What came to be known on the way; every event from then on has it."""
    tally: Tally = field(default_factory=Tally)

    @property
    def labels(self) -> frozenset[str]:
        """What its task has seen."""
        return frozenset(self.task.labels) if self.task else frozenset()

    @property
    def origins(self) -> Mapping[str, Origin] | None:
        """Where the values of its arguments come from; `None` where the user's words are not known."""
        words = self.task.words if self.task else None
        return words.origins(self.request.arguments) if words else None

    @property
    def task_id(self) -> str:
        """Empty for one that needs no task."""
        return self.task.id if self.task else ""


class CallLog:
    """Tells the journal of calls; each event has the call's own facts."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def tell(self, call: Call, kind: str, **data: object) -> None:
        """Append one event.

        Raises:
            JournalError: it could not be made durable.
        """
        elapsed = round(time.monotonic() - call.started, 4)
        facts = {"server": call.tool.server, "tool": call.tool.name[:500], "seconds": elapsed, **call.found, **data}
        if isinstance(call.tool, Subject):
            facts["method"] = call.request.method
        await self._journal.append(
            Draft(
                kind,
                principal=str(call.caller.principal),
                task=call.task_id or None,
                call=call.id,
                data=facts,
            )
        )

    async def cancelled(self, call: Call) -> None:
        """Its caller has gone. Raises JournalError; takes `FAREWELL_SECONDS` at most."""
        with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
            await self.tell(call, "call.cancelled")

    async def asked(self, call: Call, methods: Sequence[str]) -> None:
        """The server asked the caller something. Raises JournalError."""
        await self.tell(call, "call.asked", requests=sorted(methods))

    async def answered(self, call: Call, rule: str, approval: str, *, allowed: bool, detail: str) -> None:
        """A person answered the question of a rule. Raises JournalError."""
        facts = {"allowed": allowed, "rule": rule, "detail": detail[:200], "approval": approval}
        await self.tell(call, "call.answered", **facts)
