"""`muxi-runtime journal`: what happened. Works on the database, so the runtime need not run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any

import click

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.output import Output, fields, json_option, mark
from muxi_runtime.cli.times import BeforeNow
from muxi_runtime.cli.trace import trace
from muxi_runtime.journal.anchor import Anchor, AnchorFile, anchor_path
from muxi_runtime.journal.chain import to_document
from muxi_runtime.journal.contract import Event
from muxi_runtime.journal.read import Query
from muxi_runtime.journal.read import follow as follow_events
from muxi_runtime.journal.read import search as search_events
from muxi_runtime.journal.read import tail as tail_events
from muxi_runtime.journal.verify import Report
from muxi_runtime.journal.verify import verify as verify_chain
from muxi_runtime.store.engine import database_path

__all__ = ["journal"]


@click.group()
def journal() -> None:
    """Read, search, trace and verify the journal."""


def _query_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose events; the command gets `query`."""

    @wraps(command)
    def chosen(*args: Any, **options: Any) -> None:  # noqa: ANN401 - whatever the command takes
        query = Query(**{name: options.pop(name) for name in ("kind", "principal", "task", "call", "text")})
        command(*args, query=query, **options)

    for option in (
        click.option("--text", help="Events whose data hold this text."),
        click.option("--call", help="Events of this call."),
        click.option("--task", help="Events of this task."),
        click.option("--principal", help="Events of this user, or user/key."),
        click.option("--kind", help="Events of this kind: `call.decided`, or `call` for all of a call."),
    ):
        chosen = option(chosen)
    return chosen


@journal.command()
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(0), help="How many.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new events until interrupted.")
@_query_options
@json_option
@click.pass_obj
def tail(invocation: Invocation, count: int, query: Query, out: Output, *, follow: bool) -> None:
    """Show the newest events."""
    with opened(invocation.settings()) as engine:
        # One at least, to know where to follow from.
        newest = tail_events(engine, max(count, 1), query)
        for event in newest[-count:] if count else ():
            _print(out, event)
        if follow:
            after = newest[-1].seq if newest else 0
            for event in follow_events(engine, replace(query, after=after), stop=threading.Event()):
                _print(out, event)


@journal.command()
@click.option("--since", type=BeforeNow(), help="From here on: a span like 2h, or a date.")
@click.option("--until", type=BeforeNow(), help="Before this: a span like 1h, or a date.")
@click.option("--after", default=0, type=click.IntRange(0), help="Only events after this seq.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@_query_options
@json_option
@click.pass_obj
def search(
    invocation: Invocation,
    query: Query,
    since: datetime | None,
    until: datetime | None,
    after: int,
    limit: int | None,
    out: Output,
) -> None:
    """Show the events that fit all that is asked for, oldest first."""
    chosen = replace(query, since=since, until=until, after=after)
    with opened(invocation.settings()) as engine:
        for event in search_events(engine, chosen, limit=limit):
            _print(out, event)


@journal.command()
@click.option("--expect", multiple=True, metavar="SEQ:HASH", help="A head that was noted earlier: it must still fit.")
@click.option("--allow-recorded-loss", is_flag=True, help="Do not fail for a lost end that the journal itself records.")
@json_option
@click.pass_context
def verify(ctx: click.Context, expect: tuple[str, ...], out: Output, *, allow_recorded_loss: bool) -> None:
    """Check the whole hash chain; exit 1 when an event was changed or is missing.

    Keep the head that is printed on another machine: with --expect it later shows a chain that was cut or
    rebuilt even by someone who can write every file here.
    """
    try:
        anchors = [Anchor.parse(text) for text in expect]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expect") from error
    settings = ctx.obj.settings()
    with opened(settings) as engine:
        report = verify_chain(engine, AnchorFile(anchor_path(database_path(settings.home))), expect=anchors)
    ok = report.broken is None if allow_recorded_loss else report.ok
    out.show(_document(report, ok=ok), fields([("chain", mark(ok)), *_shown(report)]))
    if not ok:
        ctx.exit(ExitCode.FAILED)


journal.add_command(trace)


def _print(out: Output, event: Event) -> None:
    # As JSON writes them: a line feed in a name must not begin a line of its own.
    about = " ".join(json.dumps(part)[1:-1] for part in (event.principal, event.task, event.call) if part)
    data = json.dumps(event.data, separators=(",", ":")) if event.data else ""
    out.line(to_document(event), f"{event.seq:>7} {event.at} {event.kind:<18} {about} {data}".rstrip())


def _document(report: Report, *, ok: bool) -> dict[str, Any]:
    broken = {"seq": report.broken.seq, "problem": report.broken.problem} if report.broken else None
    return {
        "ok": ok,
        "events": report.events,
        "head": str(report.head) if report.head else None,
        "broken": broken,
        "recorded_losses": report.losses,
        "notes": report.notes,
    }


def _shown(report: Report) -> list[tuple[str, object]]:
    shown: list[tuple[str, object]] = [("events", report.events), ("head", report.head)]
    if report.broken:
        shown.append(("broken at", f"event {report.broken.seq}: {report.broken.problem}"))
    if report.losses:
        seqs = ", ".join(map(str, report.losses))
        shown.append(("lost", f"the newest events before a start were gone, as recorded by event {seqs}"))
    return [*shown, *(("note", note) for note in report.notes)]
