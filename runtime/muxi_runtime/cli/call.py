"""`muxi-runtime call`: one tool call, through the same door as everyone's."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO, Any

import anyio
import anyio.to_thread
import click

from muxi_runtime.cli.arguments import collect
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.output import Output, json_option
from muxi_runtime.cli.results import Saver, lines_of
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.cli.terminal import printable
from muxi_runtime.cli.tool_names import find_tool
from muxi_runtime.policy.approvals import Scope, means

__all__ = ["call"]

ONCE = Scope.ONCE.value


@click.command()
@click.argument("name", metavar="SERVER.TOOL")
@click.option("--arg", "texts", multiple=True, metavar="NAME=TEXT", help="An argument; numbers as the tool wants them.")
@click.option("--json-arg", "values", multiple=True, metavar="NAME=JSON", help="An argument as JSON.")
@click.option("--args-file", type=click.File(encoding="utf-8"), help="All arguments, a JSON object; - reads the input.")
@click.option("--task", help="The task to call in; default: the one of this key and client.")
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Write images and files there.")
@json_option
@with_runtime
@click.pass_context
def call(  # noqa: PLR0913 - one a command-line option
    ctx: click.Context,
    *,
    runtime: RuntimeClient,
    out: Output,
    name: str,
    texts: tuple[str, ...],
    values: tuple[str, ...],
    args_file: IO[str] | None,
    task: str | None,
    save: Path | None,
) -> None:
    """Call one tool and print its result; exit 1 when the tool reports an error.

    Progress goes to standard error as it comes. A question of the policy's is asked on the terminal; without one, the
    call waits a while for `muxi-runtime approvals allow`.
    """
    tool = find_tool(runtime, name)
    arguments = collect(tool["definition"].get("inputSchema") or {}, texts, values, args_file)
    result = anyio.run(functools.partial(_call, runtime, tool["name"], arguments, task=task, quiet=out.as_json))
    if out.as_json:
        out.show(result)
    else:
        saver = Saver(save, tool["name"].replace("__", "-", 1)) if save else None
        for line in lines_of(result, saver):
            click.echo(line)
    if result.get("isError"):
        click.echo("The tool reports an error.", err=True)
        ctx.exit(ExitCode.FAILED)


async def _call(
    runtime: RuntimeClient, name: str, arguments: dict[str, Any], *, task: str | None, quiet: bool
) -> dict[str, Any]:
    from muxi_runtime.gateway.client import call_tool  # noqa: PLC0415 - `call --help` must not wait for the MCP SDK

    return await call_tool(
        runtime.mcp_url,
        runtime.key,
        name,
        arguments,
        task=task,
        on_progress=None if quiet else _show_progress,
        on_question=_asker(),
    )


async def _show_progress(progress: float, total: float | None, message: str | None) -> None:
    if message is not None:
        # Dim: most tools say the same again in their result, which follows on standard output.
        click.secho(printable(message), err=True, nl=not message.endswith("\n"), dim=True)
    elif total:
        click.echo(f"{progress:g} of {total:g}", err=True)


def _asker() -> Callable[[str, Sequence[str]], Awaitable[str | None]] | None:
    """Asks on the terminal; without one there is nobody to ask, and the runtime refuses what needs an answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return _ask


async def _ask(question: str, scopes: Sequence[str]) -> str | None:
    # The thread may be left waiting for input that never comes, when the call ends first.
    return await anyio.to_thread.run_sync(_prompt, question, scopes, abandon_on_cancel=True)


def _prompt(question: str, scopes: Sequence[str]) -> str | None:
    """What a yes is for; anything but a letter or word that is offered asks again, nothing is a no."""
    wider = [scope for scope in scopes if scope != ONCE]
    words = {"": None, "n": None, "no": None, "y": ONCE, "yes": ONCE, ONCE: ONCE}
    words |= {word: scope for scope in wider for word in (scope, scope[0])}
    for scope in wider:
        click.echo(f"  {scope}: {means(Scope(scope))}", err=True)
    choices = "/".join(["y/N", *wider])
    while True:
        answer = click.prompt(f"{printable(question)} [{choices}]", default="", show_default=False, err=True)
        if answer.strip().lower() in words:
            return words[answer.strip().lower()]
