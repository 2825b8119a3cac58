"""The body of `up`: the steps, then how the parts are, how a client connects and how to stop."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from muxi_runtime.cli.progress import StepDisplay
from muxi_runtime.cli.terminal import printable
from muxi_runtime.config import Settings, default_home
from muxi_runtime.setup.bring_up import Outcome, bring_up, prepare

__all__ = ["run_in_background", "run_in_foreground"]


def run_in_foreground(settings: Settings, *, may_install: bool) -> None:
    """Set up, then serve in this process until it is told to end.

    Raises:
        SetupError: a step failed.
    """
    with StepDisplay(Console(stderr=True)) as display:
        anyio.run(partial(prepare, settings, display, may_install=may_install))
    # Not above: it loads the whole runtime, which `up` in the background has no use for.
    from muxi_runtime.cli.serve_here import serve_here  # noqa: PLC0415 - as said

    serve_here(settings, log_file=False)


def run_in_background(settings: Settings, *, may_install: bool, as_json: bool) -> bool:
    """Set up, start the runtime and show the outcome; whether every part is well.

    Raises:
        SetupError: a step failed.
    """
    with StepDisplay(Console(stderr=as_json)) as display:
        outcome = anyio.run(partial(bring_up, settings, display, may_install=may_install))
    if as_json:
        click.echo(json.dumps({**asdict(outcome), "healthy": outcome.healthy}, indent=2))
    else:
        _welcome(outcome, Console(), needs_key=settings.gateway.keys_required)
    return outcome.healthy


def _welcome(outcome: Outcome, console: Console, *, needs_key: bool) -> None:
    state = "runs already" if outcome.was_running else "is up"
    console.print()
    console.print(_components(outcome))
    console.print(
        Text.assemble(
            ("muxi-runtime " + state, "bold"),
            f" at {outcome.url} (process {outcome.pid}, state in {outcome.home})\n",
        ),
        soft_wrap=True,
    )
    for line in _hints(outcome, needs_key=needs_key):
        console.print(Text(line), soft_wrap=True)


def _components(outcome: Outcome) -> Table | Text:
    if not outcome.components:
        return Text("How the parts are shows to those with a key: muxi-runtime status")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("", "part", "state"):
        table.add_column(heading, overflow="fold")
    for component in outcome.components:
        mark = Text("✓", "green") if component.get("ok") else Text("✗", "red")
        detail = " ".join(str(component.get(key) or "") for key in ("detail", "cure")).strip()
        table.add_row(mark, Text(printable(str(component.get("name")))), Text(printable(detail)))
    return table


def _hints(outcome: Outcome, *, needs_key: bool) -> tuple[str, ...]:
    server: dict[str, object] = {"type": "http", "url": outcome.url}
    if needs_key:
        server["headers"] = {"Authorization": "Bearer KEY"}
    header = ' --header "Authorization: Bearer KEY"' if needs_key else ""
    me = "muxi-runtime" if shutil.which("muxi-runtime") else str(Path(sys.argv[0]).absolute())
    if Path(outcome.home) != default_home(os.environ).absolute():
        me += f" --home {shlex.quote(str(outcome.home))}"
    key = (f"Every client needs a key, as muxi.yaml says or the address demands: {me} keys create --user NAME",)
    return (
        *(key if needs_key else ()),
        "Connect a client:",
        f"  Claude Code        claude mcp add --transport http muxi {outcome.url}{header}",
        f"  by configuration   {json.dumps({'mcpServers': {'muxi': server}})}",
        f"  by a command       {me} connect   (for clients that speak over standard input and output)",
        "Look and stop:",
        f"  {me} status | tools list | journal tail",
        f"  {me} down",
    )
