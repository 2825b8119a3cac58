"""`policy why`: what decided something that the journal has, and whether the same rules still hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from muxi_runtime.errors import RefusedError
from muxi_runtime.journal.contract import Event
from muxi_runtime.journal.read import Query, search, tail
from muxi_runtime.policy.rules import Rule, RuleSet

__all__ = ["Why", "why"]

DECISIONS = ("call.decided", "egress.decided", "secret.decided", "call.refused")


@dataclass(frozen=True, slots=True)
class Why:
    """One decision of the past.

    Attributes:
        rule: as it reads now; `None` if there is no rule of that id any more, or if no rule made the decision.
        then: the digest of the rules that held; empty where the journal does not say.
        now: the digest of those on disk.
    """

    event: Event
    rule: Rule | None
    then: str
    now: str

    @property
    def is_as_it_was(self) -> bool:
        """Whether the very same rules hold now."""
        return self.then == self.now


def why(engine: Engine, rules: RuleSet, wanted: str) -> list[Why]:
    """The decisions of an event (by its number) or of a call (`c-...`), oldest first.

    Raises:
        RefusedError: there is none.
        JournalError: a row of the journal is damaged.
    """
    found = [event for event in _events(engine, wanted) if event.kind in DECISIONS]
    if not found:
        raise RefusedError(
            f"The journal has no decision {wanted!r}.",
            remedy="Give an event's number or a call's id: `muxi-runtime journal search --kind call.decided` has both.",
        )
    return [_why(engine, rules, event) for event in found]


def _events(engine: Engine, wanted: str) -> Iterator[Event]:
    if not wanted.isdecimal():
        yield from search(engine, Query(call=wanted))
        return
    event = next(search(engine, Query(after=int(wanted) - 1), limit=1), None)
    if event is None or event.seq != int(wanted):
        return
    if event.kind in DECISIONS or event.call is None:
        yield event
    else:  # what became of a call: its decision is asked for
        yield from search(engine, Query(call=event.call))


def _why(engine: Engine, rules: RuleSet, event: Event) -> Why:
    before = tail(engine, 1, Query(kind="policy.loaded", before=event.seq))
    then = str(before[0].data.get("digest", "")) if before else ""
    return Why(event, rules.rules.get(str(event.data.get("rule"))), then, rules.digest)
