"""`muxi-runtime policy learn`: the narrowest rules for what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, json_option
from muxi_runtime.cli.times import BeforeNow
from muxi_runtime.errors import RefusedError
from muxi_runtime.journal.contract import Event
from muxi_runtime.journal.read import Query, search
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.learn import Proposal
from muxi_runtime.policy.learn import learn as learn_from
from muxi_runtime.policy.observed import observe

__all__ = ["learn"]


@click.command()
@click.option("--since", type=BeforeNow(), help="From here on: a span like 30d, or a date. Without it: all there is.")
@click.option("--user", help="Only what this user did.")
@click.option("--server", help="Only what was done with this server.")
@click.option("--write", "file", type=click.Path(path_type=Path), help="Write the rules to this new file.")
@json_option
@click.pass_obj
def learn(
    invocation: Invocation, since: datetime | None, user: str | None, server: str | None, file: Path | None, out: Output
) -> None:
    """Propose the narrowest rules and lists of hosts from what was done and refused. Nothing is put in force."""
    settings = invocation.settings()
    with opened(settings) as engine:
        events = search(engine, Query(since=since, principal=user))
        proposal = learn_from(observe(_of(events, server)), CedarPolicy.load(settings.policy).rules)
    if file is not None:
        _write(file, proposal.rules)
    where = f"Written to {file}." if file else proposal.rules
    out.show(asdict(proposal), where, *_shown(proposal, file))


def _of(events: Iterable[Event], server: str | None) -> Iterator[Event]:
    return (event for event in events if server is None or event.data.get("server") == server)


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError as error:
        raise RefusedError(f"{file} exists; nothing was written.", remedy="Name a new file, or remove it.") from error
    except OSError as error:
        raise RefusedError(f"{file} cannot be written: {error.strerror}.", remedy="Name another file.") from error


def _shown(proposal: Proposal, file: Path | None) -> Iterator[str]:
    yield f"{proposal.permits} permits. Read them; then, in muxi.yaml:\n"
    yield f"policy:\n  files: [{file or 'learned.cedar'}]"
    if proposal.hosts or proposal.refused_hosts:
        yield "servers:"
    for server in sorted({*proposal.hosts, *proposal.refused_hosts}):
        yield f"  {server}:\n    network:\n      allow:" + _list(proposal.hosts, server)
        for host in proposal.refused_hosts.get(server, ()):
            yield f'        # - "{host}"  (its list refused this one)'


def _list(hosts: Mapping[str, tuple[str, ...]], server: str) -> str:
    return "".join(f'\n        - "{host}"' for host in hosts.get(server, ())) or " []"
