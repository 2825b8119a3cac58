"""What every `Journal` must do. A test runs each check of `CHECKS` on each implementation.

A check gets a function that opens a new, empty journal with given settings, and raises AssertionError.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.chain import event_hash
from muxi_runtime.journal.contract import GENESIS, Draft, Event, Journal
from muxi_runtime.journal.settings import JournalSettings

__all__ = ["CHECKS", "Check", "OpenJournal"]

OpenJournal = Callable[[JournalSettings], AbstractAsyncContextManager[Journal]]
Check = Callable[[OpenJournal], Awaitable[None]]

_DRAFT = Draft(kind="call.decided", principal="ada/k", task="t-1", call="c-1", data={"effect": "allow"})
_SECONDS = 10


async def gives_what_it_got(open_journal: OpenJournal) -> None:
    """The event holds the draft's fields, the first place, a time and the hash of the contract."""
    async with open_journal(JournalSettings()) as journal:
        event = await journal.append(_DRAFT)
    fields = (event.kind, event.principal, event.task, event.call, event.data)
    _require(fields == ("call.decided", "ada/k", "t-1", "c-1", {"effect": "allow"}), "the fields changed")
    _require(event.seq == 1 and event.previous == GENESIS, "the first event is not the first of a chain")
    _require(event.hash == event_hash(event), "the hash is not that of the contract")
    _require(len(event.at) == len("2026-01-01T00:00:00.000000Z") and event.at[-1] == "Z", "the time is malformed")


async def chains_without_gaps(open_journal: OpenJournal) -> None:
    """Concurrent appends form one chain, and each gets its own event."""
    events: list[Event] = []
    async with open_journal(JournalSettings(batch_events=7)) as journal, anyio.create_task_group() as group:

        async def append(number: int) -> None:
            event = await journal.append(Draft("test.appended", data={"number": number}))
            _require(event.data == {"number": number}, "an append got another's event")
            events.append(event)

        for number in range(100):
            group.start_soon(append, number)
    events.sort(key=lambda event: event.seq)
    _require([event.seq for event in events] == list(range(1, 101)), "there are gaps or doubles")
    previous = [GENESIS, *(event.hash for event in events)]
    _require([event.previous for event in events] == previous[:-1], "an event does not follow the one before")


async def keeps_any_text(open_journal: OpenJournal) -> None:
    """What a tool prints never fails an append: controls, lone surrogates, numbers that are none."""
    hostile = {"text": '\x00\x1b[2J\r\n{"seq":1}\u2028\ud800', "number": float("nan"), "deep": _deep(100)}
    async with open_journal(JournalSettings()) as journal:
        event = await journal.append(Draft("tool.printed", principal="\ud800", data=hostile))
    _require(event.hash == event_hash(event), "the hash is not that of the contract")


async def shortens_what_is_too_large(open_journal: OpenJournal) -> None:
    """Data beyond the limit are replaced by their size, hash and start."""
    async with open_journal(JournalSettings(event_bytes=2048)) as journal:
        event = await journal.append(Draft("tool.printed", data={"text": "x" * 10_000}))
    _require(event.data.get("shortened") is True and event.data["bytes"] > 10_000, "large data were kept")  # noqa: PLR2004 - as above


async def refuses_a_malformed_kind(open_journal: OpenJournal) -> None:
    """A kind is dotted words; another is the caller's mistake, and harms nobody else."""
    async with open_journal(JournalSettings()) as journal:
        for kind in ("", "call", "call.", "Call.Decided", 'a.b"', "a.b\n"):
            await _must_fail(journal, Draft(kind))
        event = await journal.append(_DRAFT)
    _require(event.seq == 1, "a refused draft took a place in the chain")


async def refuses_when_closed(open_journal: OpenJournal) -> None:
    """An append after the end raises and does not wait."""
    async with open_journal(JournalSettings()) as journal:
        pass
    with anyio.fail_after(_SECONDS):
        await _must_fail(journal, _DRAFT)


async def tells_its_listeners(open_journal: OpenJournal) -> None:
    """Every listener hears every later event in order, and its stream ends with the journal."""
    heard: list[list[int]] = [[], []]
    with anyio.fail_after(_SECONDS):
        async with anyio.create_task_group() as group, open_journal(JournalSettings()) as journal:
            await journal.append(_DRAFT)
            ready = [anyio.Event(), anyio.Event()]

            async def listen(number: int) -> None:
                async with journal.listen() as events:
                    ready[number].set()
                    heard[number].extend([event.seq async for event in events])

            for number in range(2):
                group.start_soon(listen, number)
                await ready[number].wait()
            for _ in range(3):
                await journal.append(_DRAFT)
    _require(heard == [[2, 3, 4], [2, 3, 4]], f"the listeners heard {heard}")


async def drops_a_slow_listener(open_journal: OpenJournal) -> None:
    """A listener that falls behind gets an error after what it still has, and holds nobody up."""
    seen = 0
    with anyio.fail_after(_SECONDS):
        async with open_journal(JournalSettings(listener_events=2)) as journal, journal.listen() as events:
            for _ in range(5):
                await journal.append(_DRAFT)
            try:
                async for _ in events:
                    seen += 1
            except JournalError:
                _require(seen == 2, "what the buffer held was lost")  # noqa: PLR2004 - the buffer's size
                return
    raise AssertionError("the slow listener was not told")


CHECKS: tuple[Check, ...] = (
    gives_what_it_got,
    chains_without_gaps,
    keeps_any_text,
    shortens_what_is_too_large,
    refuses_a_malformed_kind,
    refuses_when_closed,
    tells_its_listeners,
    drops_a_slow_listener,
)


async def _must_fail(journal: Journal, draft: Draft) -> None:
    try:
        await journal.append(draft)
    except JournalError:
        return
    raise AssertionError(f"{draft.kind!r} was appended")


def _deep(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


def _require(condition: bool, problem: str) -> None:  # noqa: FBT001 - reads as assert does
    if not condition:
        raise AssertionError(problem)
