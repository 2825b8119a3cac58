"""`muxi-runtime pins`: what is accepted of servers, what has changed since. Works on the database, as `keys` does."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from muxi_runtime.catalog.pin_store import PinRecord, PinState, PinStore
from muxi_runtime.cli.add_options import key_option
from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, json_option, plain, table
from muxi_runtime.cli.pin_changes import Change, diff_lines, shown_changes
from muxi_runtime.cli.server_commands import tell_runtime
from muxi_runtime.config import Settings
from muxi_runtime.errors import UnknownToolError
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.writer import append_once
from muxi_runtime.store.engine import database_path

__all__ = ["pins"]

STYLES = {PinState.ACCEPTED: "green", PinState.OFFERED: "yellow", PinState.REJECTED: "red"}
WAITS = "waits for you"
WHICH = re.compile(r"(.*?)((?:\.|__)(.+))?", re.DOTALL)
"""A server and the name of something in it: names, of templates above all, may hold any character."""


@click.group()
def pins() -> None:
    """Show and accept the definitions of added servers' tools, prompts and resource templates."""


@pins.command("list")
@click.argument("server", required=False)
@json_option
@click.pass_obj
def list_pins(invocation: Invocation, server: str | None, out: Output) -> None:
    """List what is accepted, waits, or was rejected: tools, prompts and resource templates."""
    records = _records(invocation.settings(), server)
    rows = [
        (
            f"{r.server}.{r.tool}",
            r.kind.value,
            plain(_state(r), STYLES[r.state]),
            r.pin[:12],
            r.at[:16].replace("T", " "),
        )
        for r in records
    ]
    out.show({"pins": [_document(r) for r in records]}, table(("what", "kind", "state", "pin", "since (UTC)"), rows))


@pins.command()
@click.argument("which", required=False, metavar="[SERVER[.NAME]]")
@json_option
@click.pass_obj
def diff(invocation: Invocation, which: str | None, out: Output) -> None:
    """Show exactly what is different in what waits."""
    settings = invocation.settings()
    changes = [(record, _change(settings, record)) for record in _waiting(settings, which)]
    document = [
        {**_document(record), "change": change.kind, "diff": list(diff_lines(change)), "accepted": change.was}
        for record, change in changes
    ]
    if not changes:
        out.show({"changes": []}, "Nothing waits.")
        return
    hint = "`muxi-runtime pins accept SERVER.NAME` offers it as it is now; `pins reject` keeps it away."
    out.show({"changes": document}, *shown_changes([change for _, change in changes]), "", hint)


@pins.command()
@click.argument("which", metavar="SERVER[.NAME]")
@key_option
@json_option
@click.pass_obj
def accept(invocation: Invocation, which: str, key: str | None, out: Output) -> None:
    """Accept what waits, as `pins diff` shows it."""
    _settle(invocation.settings(), which, key, out, accepted=True)


@pins.command()
@click.argument("which", metavar="SERVER[.NAME]")
@key_option
@json_option
@click.pass_obj
def reject(invocation: Invocation, which: str, key: str | None, out: Output) -> None:
    """Keep what waits away for good, unless it changes again or is accepted after all."""
    _settle(invocation.settings(), which, key, out, accepted=False)


def _settle(settings: Settings, which: str, key: str | None, out: Output, *, accepted: bool) -> None:
    waiting = _waiting(settings, which, also_rejected=accepted)
    if not waiting:
        raise UnknownToolError(f"Nothing of {which!r} waits.", remedy="`muxi-runtime pins list` shows what is known.")
    with opened(settings) as engine:
        store = PinStore(engine)
        settle = store.accept if accepted else store.reject
        done = [record for record in waiting if settle(record)]
    for record in done:
        data = {"server": record.server, "kind": record.kind.value, "tool": record.tool, "pin": record.pin}
        who = str(Principal())
        draft = Draft("pin.accepted", who, data=data) if accepted else Draft("pin.rejected", who, data=data)
        append_once(database_path(settings.home), settings.journal, draft)
    names = ", ".join(f"{record.server}.{record.tool}" for record in done) or "nothing"
    word = "Accepted" if accepted else "Rejected"
    out.show({word.lower(): [_document(r) for r in done]}, f"{word}: {names}. {tell_runtime(settings, key)}")


def _records(settings: Settings, server: str | None) -> list[PinRecord]:
    with opened(settings) as engine:
        return PinStore(engine).all(server)


def _waiting(settings: Settings, which: str | None, *, also_rejected: bool = False) -> Sequence[PinRecord]:
    match = WHICH.fullmatch(which or "")
    server, name = (match[1], match[3]) if match else ("", None)
    states = {PinState.OFFERED, PinState.REJECTED} if also_rejected else {PinState.OFFERED}
    return [
        record
        for record in _records(settings, server or None)
        if record.state in states and name in (None, record.tool)
    ]


def _change(settings: Settings, record: PinRecord) -> Change:
    accepted = [r for r in _records(settings, record.server) if (r.kind, r.tool) == (record.kind, record.tool)]
    was = next((r.definition for r in accepted if r.state is PinState.ACCEPTED), None)
    return Change(record.kind, record.tool, was, record.definition)


def _state(record: PinRecord) -> str:
    return WAITS if record.state is PinState.OFFERED else record.state.value


def _document(record: PinRecord) -> dict[str, object]:
    return {
        "server": record.server,
        "kind": record.kind.value,
        "tool": record.tool,
        "state": record.state.value,
        "pin": record.pin,
        "identity": record.identity,
        "definition": record.definition,
        "at": record.at,
    }
