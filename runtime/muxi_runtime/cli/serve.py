"""`muxi-runtime serve`: the runtime itself, without the set-up. `up` starts it; service units may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from muxi_runtime.cli.context import Invocation

__all__ = ["serve"]


@click.command(hidden=True)
@click.option("--log-file", is_flag=True, help="Log to the state folder instead of standard error.")
@click.pass_obj
def serve(invocation: Invocation, *, log_file: bool) -> None:
    """Run the runtime in the foreground."""
    from muxi_runtime.cli.serve_here import serve_here  # noqa: PLC0415 - `--help` must not load the rest

    serve_here(invocation.settings(), log_file=log_file)
