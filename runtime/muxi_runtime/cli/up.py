"""`muxi-runtime up`: from nothing to a runtime that answers, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from muxi_runtime.cli.context import Invocation

__all__ = ["up"]


@click.command()
@click.option("--foreground", is_flag=True, help="Run in this process until told to end (systemd, compose).")
@click.option("--install-engine", is_flag=True, help="As root, install Debian's docker.io if there is no engine.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON; progress goes to standard error.")
@click.pass_context
def up(ctx: click.Context, *, foreground: bool, install_engine: bool, as_json: bool) -> None:
    """Set everything up and start the runtime.

    Prepares the state folder, sees that a container engine answers, builds the sandbox images that are missing and
    starts the runtime in the background. Doing it again is quick and changes nothing.
    """
    from muxi_runtime.cli import bring_up  # noqa: PLC0415 - `up --help` must not load the rest

    invocation: Invocation = ctx.obj
    if foreground:
        bring_up.run_in_foreground(invocation.settings(), may_install=install_engine)
    elif not bring_up.run_in_background(invocation.settings(), may_install=install_engine, as_json=as_json):
        ctx.exit(1)
