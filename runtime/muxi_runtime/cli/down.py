"""`muxi-runtime down`: end the runtime of this state folder, and with it every sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from muxi_runtime.cli.context import Invocation

__all__ = ["down"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.pass_obj
def down(invocation: Invocation, *, as_json: bool) -> None:
    """Stop the runtime and end its sandboxes. Nothing to stop is no error."""
    import anyio  # noqa: PLC0415 - as above

    from muxi_runtime.setup.take_down import TakenDown, take_down  # noqa: PLC0415 - `--help` must not load the rest

    outcome: TakenDown | None = anyio.run(take_down, invocation.settings().home)
    if as_json:
        click.echo(json.dumps(outcome.as_json() if outcome else {"was_running": False}))
    else:
        click.echo(outcome.sentence() if outcome else "Nothing to stop: no runtime of this state folder runs.")
