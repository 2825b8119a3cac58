"""Read the journal, from any process: the newest, a search, what comes from now on. Streams page by page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, Row, and_, or_, select

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.contract import Event
from muxi_runtime.store.engine import reading
from muxi_runtime.store.schema import journal
from muxi_runtime.store.times import utc_text

__all__ = ["Query", "event_of", "follow", "rows", "search", "tail"]

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for; every field that is set must fit.

    Attributes:
        kind: a kind, or its first words: `call` finds `call.decided` and `call.finished`.
        principal: a user (by whichever key), or `user/key`.
        since: at this time or later; `until`: before it.
        text: occurs in the event's data, whatever the case of ASCII letters.
        after: only events of a greater seq; `before`: of a smaller one.
    """

    kind: str | None = None
    principal: str | None = None
    task: str | None = None
    call: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    after: int = 0
    before: int | None = None


def search(engine: Engine, query: Query, *, limit: int | None = None) -> Iterator[Event]:
    """Events that fit, oldest first. No transaction is held while the caller looks at them.

    Raises:
        JournalError: a row is no event; `verify` says more.
    """
    condition, after, left = _condition(query), query.after, limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = rows(engine, condition, after=after, size=size)
        yield from map(event_of, page)
        if len(page) < size:
            return
        after = page[-1].seq
        left = None if left is None else left - len(page)


def tail(engine: Engine, count: int, query: Query | None = None) -> list[Event]:
    """The newest `count` events that fit, oldest first.

    Raises:
        JournalError: a row is no event; `verify` says more.
    """
    newest = select(journal).where(_condition(query or Query())).order_by(journal.c.seq.desc()).limit(count)
    with reading(engine) as connection:
        found = connection.execute(newest).all()
    return [event_of(row) for row in reversed(found)]


def follow(engine: Engine, query: Query, *, stop: threading.Event, poll_seconds: float = 0.25) -> Iterator[Event]:
    """Events after `query.after` and then new ones as they come, of every process, until `stop` is set.

    Raises:
        JournalError: a row is no event; `verify` says more.
    """
    while not stop.is_set():
        for event in search(engine, query):
            query = replace(query, after=event.seq)
            yield event
        stop.wait(poll_seconds)


def rows(engine: Engine, condition: ColumnElement[bool], *, after: int, size: int) -> list[Row[tuple[object, ...]]]:
    """One page of rows after a seq, as they lie in the table."""
    page = select(journal).where(condition, journal.c.seq > after).order_by(journal.c.seq).limit(size)
    with reading(engine) as connection:
        return list(connection.execute(page).all())


def event_of(row: Row[tuple[object, ...]]) -> Event:
    """A row as an event.

    Raises:
        JournalError: its data is not a JSON object.
    """
    try:
        data = json.loads(row.data)
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(row) from error
    if not isinstance(data, dict):
        raise _damaged(row)
    return Event(
        kind=row.kind,
        principal=row.principal,
        task=row.task,
        call=row.call,
        data=data,
        seq=row.seq,
        at=row.at,
        previous=row.previous,
        hash=row.hash,
    )


def _damaged(row: Row[tuple[object, ...]]) -> JournalError:
    return JournalError(
        f"Event {row.seq} of the journal is damaged: its data is no JSON object.",
        remedy="Run `muxi-runtime journal verify`.",
    )


def _condition(query: Query) -> ColumnElement[bool]:
    table = journal.c
    parts: list[ColumnElement[bool]] = [table.seq > query.after]
    if query.kind:
        parts.append(or_(table.kind == query.kind, table.kind.startswith(f"{query.kind}.", autoescape=True)))
    if query.principal:
        by_key = table.principal.startswith(f"{query.principal}/", autoescape=True)
        parts.append(or_(table.principal == query.principal, by_key))
    if query.text:
        # The data lies there as JSON: look for the text as JSON writes it.
        written = json.dumps(query.text, ensure_ascii=False)[1:-1]
        parts.append(table.data.icontains(written, autoescape=True))
    plain = (
        query.before is not None and table.seq < query.before,
        query.task and table.task == query.task,
        query.call and table.call == query.call,
        query.since and table.at >= utc_text(query.since),
        query.until and table.at < utc_text(query.until),
    )
    return and_(*parts, *(part for part in plain if isinstance(part, ColumnElement)))
