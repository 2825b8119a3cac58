"""Check the whole chain, page by page, against itself and against what was remembered of its head.

What it finds: an event that was changed, removed, inserted or reordered; newest events that were cut off, as
far as the head file or a head kept elsewhere knows them. What it cannot find: a cut or a chain rebuilt by someone
who can write the database *and* the head file. Only a head kept on another machine (`expect`) shows that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, Row, true

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.anchor import Anchor, AnchorFile
from muxi_runtime.journal.chain import canonical, event_hash
from muxi_runtime.journal.contract import GENESIS
from muxi_runtime.journal.read import event_of, rows
from muxi_runtime.journal.writer import HEAD_LOST

__all__ = ["Break", "Report", "verify"]

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the chain does not hold: the event's seq, and what is wrong."""

    seq: int
    problem: str


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        events: how many were read, up to the break.
        head: the newest sound event, `None` in an empty journal.
        broken: the first break, `None` if there is none.
        losses: seq of each event by which the journal recorded, at a start, that its end had been lost.
        notes: what else a reader should know.
    """

    events: int = 0
    head: Anchor | None = None
    broken: Break | None = None
    losses: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was changed and nothing is missing."""
        return self.broken is None and not self.losses


def verify(engine: Engine, anchor_file: AnchorFile, *, expect: Sequence[Anchor] = ()) -> Report:
    """Walk the chain from its first event. Reads only; new events may be appended meanwhile."""
    report = Report()
    anchors = {anchor.seq: (anchor.hash, "the head that was given") for anchor in expect}
    # Read before the walk: the journal may grow meanwhile, and the anchor must not be ahead of what is read.
    remembered = _remembered(anchor_file, report)
    if remembered is not None and remembered.seq:
        anchors.setdefault(remembered.seq, (remembered.hash, "the head file"))
    _walk(engine, anchors, report)
    newest = max(anchors, default=0)
    if report.broken is None and newest > report.events:
        report.broken = Break(
            report.events + 1,
            f"the events up to {newest} are missing at the end: {anchors[newest][1]} knows event {newest}",
        )
    return report


def _remembered(anchor_file: AnchorFile, report: Report) -> Anchor | None:
    try:
        anchor = anchor_file.read()
    except JournalError as error:
        report.broken = Break(0, str(error))
        return None
    if anchor is None:
        report.notes.append("There is no head file, so events cut off at the end cannot be noticed.")
    return anchor


def _walk(engine: Engine, anchors: dict[int, tuple[str, str]], report: Report) -> None:
    previous, after = GENESIS, 0
    while page := rows(engine, true(), after=after, size=_PAGE):
        for row in page:
            problem = _problem(row, report.events + 1, previous, anchors)
            if problem:
                report.broken = report.broken or Break(report.events + 1, problem)
                return
            previous = row.hash
            report.events += 1
            report.head = Anchor(row.seq, row.hash)
            if row.kind == HEAD_LOST:
                report.losses.append(row.seq)
        after = page[-1].seq


def _problem(row: Row[tuple[object, ...]], seq: int, previous: str, anchors: dict[int, tuple[str, str]]) -> str:
    """What is wrong with the row that should be event `seq`; empty if nothing."""
    if row.seq != seq:
        return f"it is missing: event {row.seq} comes next"
    changed = "it was changed after it was written"
    try:
        event = event_of(row)
        if canonical(event.data) != row.data or event_hash(event) != event.hash:
            return changed
    except (JournalError, ValueError, TypeError):
        return changed
    if event.previous != previous:
        return f"it does not follow event {seq - 1}: events were replaced, removed or reordered"
    known, whence = anchors.get(seq, (event.hash, ""))
    if known != event.hash:
        return f"it is not the event that {whence} knows: the chain was rebuilt"
    return ""
