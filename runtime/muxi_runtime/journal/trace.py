"""The chain of one call: from any event of it to everything that belongs to it, as a tree.

    the call: who, what, where
      the decision, the rule, the question and its answer
      the sandbox: from where, how long it took
      the connections that went out of it, each with its rule and its bytes
      the outcome

Events belong together by the call's id. Those of the sandbox come from the task that the call belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from muxi_runtime.errors import RefusedError
from muxi_runtime.journal.contract import Event
from muxi_runtime.journal.read import Query, search

__all__ = ["MOST_EVENTS", "Node", "trace"]

MOST_EVENTS = 10_000
"""Of one task or call; a trace of more would help nobody."""

OPENING = "egress.decided"
CLOSING = "egress.closed"
SANDBOX = frozenset({"sandbox.leased", "sandbox.paused", "sandbox.resumed"})


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that happened, and what belongs to it.

    Attributes:
        title: of a node that stands for several events: `call c-...`; empty where the one event says it.
        events: those that it stands for, in order: a connection has one when it was decided and one when it was closed.
    """

    title: str
    events: tuple[Event, ...] = ()
    parts: tuple[Node, ...] = field(default=())

    def walk(self) -> Iterator[Node]:
        """This one and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


def trace(engine: Engine, wanted: str) -> Node:
    """What belongs to `wanted`: the seq of an event, or the id of a call, a connection, a sandbox or a task.

    Raises:
        RefusedError: the journal has nothing of that name.
        JournalError: a row of it is damaged.
    """
    if wanted.isdecimal():
        return _of_event(engine, int(wanted))
    if wanted.startswith("t-"):
        return _of_task(wanted, _all(engine, Query(task=wanted)))
    call = wanted if wanted.startswith("c-") else _call_of(engine, wanted)
    return _of_call(engine, call)


def _of_event(engine: Engine, seq: int) -> Node:
    event = next(search(engine, Query(after=seq - 1), limit=1), None)
    if event is None or event.seq != seq:
        raise RefusedError(f"The journal has no event {seq}.", remedy="`muxi-runtime journal tail` shows the newest.")
    if event.call is not None:
        return _of_call(engine, event.call)
    if event.task is not None:
        return _of_task(event.task, _all(engine, Query(task=event.task)))
    return Node("", (event,))


def _call_of(engine: Engine, wanted: str) -> str:
    """The call of the first event whose data names a connection or a sandbox so."""
    for event in _all(engine, Query(text=wanted)):
        if event.call is not None and wanted in event.data.values():
            return event.call
    raise RefusedError(
        f"No call of the journal has to do with {wanted!r}.",
        remedy="Give an event's number, or the id of a call (c-...), a connection (n-...), a sandbox or a task.",
    )


def _of_call(engine: Engine, call: str) -> Node:
    own = _all(engine, Query(call=call))
    if not own:
        raise RefusedError(f"The journal has no call {call!r}.", remedy="`muxi-runtime journal search` finds calls.")
    task = next((event.task for event in own if event.task), None)
    others = _all(engine, Query(task=task)) if task else []
    return _call(call, own, others)


def _call(call: str, own: Sequence[Event], of_task: Sequence[Event]) -> Node:
    """One call. Of its task's other events, those that may be of it: its sandbox's lease, connections of several."""
    shared = [event for event in of_task if call in event.data.get("calls", ())]
    sandboxes = {event.data.get("sandbox") for event in own} - {None}
    lease = [
        event
        for event in of_task
        if event.kind in SANDBOX and event.data.get("sandbox") in sandboxes and event.seq <= own[-1].seq
    ]
    first = own[0]
    # A question outlives its call: what is said of it later does not tell whether the call is over.
    last = next((event for event in reversed(own) if not event.kind.startswith("approval.")), first)
    parts = [Node("", (event,)) for event in (*own, *lease) if event.kind not in {OPENING, CLOSING}]
    parts += _connections([event for event in (*own, *shared) if event.kind in {OPENING, CLOSING}])
    title = f"call {call}" + ("" if last.kind in _ENDS else " (not over, or the runtime ended)")
    return Node(title, (first,), tuple(sorted(parts, key=_begin)))


_ENDS = frozenset({"call.finished", "call.failed", "call.cancelled", "call.refused", "call.decided", "call.answered"})
"""With what a call can end: a refusal by policy ends it too."""


def _connections(events: Iterable[Event]) -> Iterator[Node]:
    """Each connection's two events together, in the order of the first."""
    found: dict[object, list[Event]] = {}
    for event in sorted(events, key=lambda event: event.seq):
        found.setdefault(event.data.get("connection", event.seq), []).append(event)
    for same in found.values():
        yield Node("", tuple(same))


def _of_task(task: str, events: Sequence[Event]) -> Node:
    if not events:
        raise RefusedError(f"The journal has no task {task!r}.", remedy="`muxi-runtime tasks list` shows open ones.")
    calls = dict.fromkeys(event.call for event in events if event.call)
    parts = [_call(call, [event for event in events if event.call == call], ()) for call in calls]
    loose = [event for event in events if event.call is None]
    parts += [Node("", (event,)) for event in loose if event.kind not in {OPENING, CLOSING}]
    parts += _connections([event for event in loose if event.kind in {OPENING, CLOSING}])
    return Node(f"task {task}", (events[0],), tuple(sorted(parts, key=_begin)))


def _all(engine: Engine, query: Query) -> list[Event]:
    found = list(search(engine, query, limit=MOST_EVENTS + 1))
    if len(found) > MOST_EVENTS:
        raise RefusedError(
            f"More than {MOST_EVENTS} events belong to it.",
            remedy="Trace one call of it: `muxi-runtime journal search --task ID --kind call.decided` lists them.",
        )
    return found


def _begin(node: Node) -> int:
    return node.events[0].seq
