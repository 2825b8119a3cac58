"""`muxi-runtime clients`: tell MCP clients on this machine of this runtime. Works on their files; none need run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from muxi_runtime.cli.client_display import concealed, shown_way
from muxi_runtime.cli.client_options import (
    Manner,
    Target,
    client_argument,
    manner_options,
    target_options,
    way_to,
)
from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.output import Output, json_option, plain, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.cli.terminal import printable
from muxi_runtime.setup.clients.change import Change, plan_add, plan_remove, state_of
from muxi_runtime.setup.clients.entry import Way, entry_for
from muxi_runtime.setup.clients.errors import ClientFileError
from muxi_runtime.setup.clients.known import KNOWN, Client, Machine
from muxi_runtime.setup.clients.texts import State

__all__ = ["clients"]

STYLES = {State.SAME.value: "green", State.OTHER.value: "yellow", "unreadable": "red"}


@click.group()
def clients() -> None:
    """Set up MCP clients on this machine to use this runtime."""


@clients.command()
@client_argument
@target_options
@manner_options
@json_option
@with_runtime
@click.pass_obj
def add(
    invocation: Invocation, client: str, target: Target, manner: Manner, out: Output, runtime: RuntimeClient
) -> None:
    """Write, or with --print only print, what the client NAME needs to reach this runtime."""
    known, machine = KNOWN[client], this_machine()
    way = way_to(runtime, invocation.settings(), target.server, manner.tools)
    path = target.file(known, machine)
    shown = entry_for(known.form, shown_way(way, show_key=manner.show_key), as_command=manner.as_command)
    about = {"client": client, "file": str(path), "name": target.name, "entry": shown}
    if manner.only_print:
        text = known.format.snippet(known.section, target.name, shown)
        if out.as_json:
            out.show({**about, "outcome": "printed", "text": text})
            return
        hidden = "" if manner.show_key or not way.key else "; --show-key shows the key too"
        click.echo(printable(f"This belongs into {path}{hidden}:"), err=True)
        click.echo(printable(text), nl=False)
        return
    entry = entry_for(known.form, way, as_command=manner.as_command)
    change = plan_add(known, path, target.name, entry, replace=manner.replace)
    _finish(change, about, out, known, dry_run=manner.dry_run, key=way.key if manner.show_key else "")
    if way.key and target.project and not manner.dry_run and change.outcome != "unchanged":
        click.echo(f"The key is in {printable(str(path))} now: do not share that file.", err=True)


@clients.command()
@client_argument
@target_options
@click.option("--dry-run", is_flag=True, help="Only show what would be changed, as a diff.")
@json_option
def remove(client: str, target: Target, out: Output, *, dry_run: bool) -> None:
    """Take this runtime out of the configuration of the client NAME; nothing else is touched."""
    known = KNOWN[client]
    path = target.file(known, this_machine())
    change = plan_remove(known, path, target.name)
    _finish(change, {"client": client, "file": str(path), "name": target.name}, out, known, dry_run=dry_run)


@clients.command("list")
@target_options
@json_option
@with_runtime
@click.pass_obj
def list_clients(invocation: Invocation, target: Target, out: Output, runtime: RuntimeClient) -> None:
    """List the clients that can be set up: whether each is here, and whether it is set up."""
    machine = this_machine()
    settings = invocation.settings()
    ways = [way_to(runtime, settings, target.server, tools, needs_key=False) for tools in (None, "all", "search")]
    known = [client for client in KNOWN.values() if target.project is None or client.project]
    found = [_described(client, target.file(client, machine), target.name, ways, machine) for client in known]
    rows = [
        (
            client["client"],
            plain("yes" if client["here"] else "no", "green" if client["here"] else ""),
            plain(client["set_up"], STYLES.get(client["set_up"], "")),
            client["file"],
        )
        for client in found
    ]
    out.show({"clients": found}, table(("client", "here", "set up", "file"), rows))


def this_machine() -> Machine:
    """The machine and the user that the program runs for."""
    return Machine(sys.platform, Path.home(), os.environ)


def _described(client: Client, path: Path, name: str, ways: list[Way], machine: Machine) -> dict[str, Any]:
    try:
        entries = [entry_for(client.form, way, as_command=command) for way in ways for command in (False, True)]
        state, error = state_of(client, path, name, *entries).value, None
    except ClientFileError as problem:
        state, error = "unreadable", str(problem)
    return {
        "client": client.name,
        "title": client.title,
        "here": client.is_here(machine),
        "set_up": state,
        "file": str(path),
        "error": error,
    }


def _finish(
    change: Change, about: dict[str, Any], out: Output, client: Client, *, dry_run: bool, key: str = ""
) -> None:
    """Show the change, or make it and say so."""
    diff = concealed(change.diff, key)
    if dry_run:
        if out.as_json:
            out.show({**about, "outcome": change.outcome, "dry_run": True, "diff": diff, "backup": None})
            return
        click.echo(printable(diff) or f"Nothing to change in {printable(about['file'])}.", nl=not diff)
        return
    backup = change.write()
    document = {**about, "outcome": change.outcome, "diff": diff, "backup": str(backup) if backup else None}
    if out.as_json:
        out.show(document)
        return
    click.echo(printable(_sentence(change, about, client, backup)))


def _sentence(change: Change, about: dict[str, Any], client: Client, backup: Path | None) -> str:
    name, file = about["name"], about["file"]
    if change.outcome == "unchanged":
        there = "has this entry already" if "entry" in about else f"has no entry {name!r}"
        return f"Nothing to do: {file} {there}."
    link = f" (which is {change.file.real})" if change.file.real != change.file.path else ""
    verb = {"added": "Added {} to", "replaced": "Replaced {} in", "removed": "Took {} out of"}[change.outcome]
    kept = f" What it said before is in {backup}." if backup else ""
    return f"{verb.format(name)} {file}{link}.{kept} {client.afterwards}".rstrip()
