"""The entry point `muxi-runtime`: global options, the table of commands, and how errors leave.

A command is a click command in a module of its own, named in `COMMANDS` and imported when it is used:
`--help` and `--version` import nothing but click. A command raises `MuxiError` or `SandboxError`, and never
prints an error itself; one whose checks failed ends by `ctx.exit(ExitCode.FAILED)`.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from muxi_runtime import __version__
from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.failures import first_known, show

__all__ = ["COMMANDS", "LazyGroup", "main", "program"]

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("muxi_runtime.cli.up:up", "Set everything up and start the runtime."),
    "down": ("muxi_runtime.cli.down:down", "Stop the runtime and end its sandboxes."),
    "serve": ("muxi_runtime.cli.serve:serve", "Run the runtime in the foreground."),
    "status": ("muxi_runtime.cli.status:status", "Show whether the runtime works, part by part."),
    "doctor": ("muxi_runtime.cli.doctor:doctor", "Check this machine: engine, images, port, disk, keys."),
    "call": ("muxi_runtime.cli.call:call", "Call one tool and print its result."),
    "connect": (
        "muxi_runtime.cli.connect:connect",
        "Bridge standard input and output to the runtime, for MCP clients.",
    ),
    "clients": (
        "muxi_runtime.cli.clients:clients",
        "Set up MCP clients on this machine to use this runtime.",
    ),
    "servers": ("muxi_runtime.cli.servers:servers", "Add, list, update and remove servers."),
    "pins": ("muxi_runtime.cli.pins:pins", "See and accept tools that changed."),
    "tools": ("muxi_runtime.cli.tools:tools", "List and inspect the tools."),
    "tasks": ("muxi_runtime.cli.tasks:tasks", "List and end tasks."),
    "workspace": ("muxi_runtime.cli.workspace:workspace", "Move files in and out of a task, and keep snapshots."),
    "images": ("muxi_runtime.cli.images:images", "Build and list the sandbox images."),
    "policy": ("muxi_runtime.cli.policy:policy", "Check, explain and test the policy."),
    "users": ("muxi_runtime.cli.users:users", "Add, list and change users: roles and groups."),
    "approvals": ("muxi_runtime.cli.approvals:approvals", "Answer what rules ask a person about."),
    "keys": ("muxi_runtime.cli.keys:keys", "Create, list and revoke API keys."),
    "secrets": ("muxi_runtime.cli.secrets:secrets", "Set, list, remove and rotate secrets."),
    "journal": ("muxi_runtime.cli.journal:journal", "Read, search and verify the journal."),
    "config": ("muxi_runtime.cli.config:config", "Show and check the configuration."),
}
"""Name to `module:attribute` and the line that `--help` shows, so that help imports no command."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command, or `None` for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest name in the message."""
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's signature
    ) -> click.Context:
        """As click does it; `--help` and `--version` print here."""
        with _quiet_about_broken_pipe():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; end quietly when whoever reads our output has gone."""
        with _quiet_about_broken_pipe():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The table of commands, from their one-line helps."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="muxi-runtime")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file. [env: MUXI_CONFIG]")
@click.option("--home", type=click.Path(path_type=Path), help="The folder of all state. [env: MUXI_HOME]")
@click.pass_context
def program(ctx: click.Context, config: Path | None, home: Path | None) -> None:
    """Run untrusted MCP tools, each in a sandbox of its own, behind one endpoint."""
    ctx.obj = Invocation(config=config, home=home)


def main() -> NoReturn:
    """Run the program on `sys.argv` and exit. A failure of ours becomes one short message on stderr."""
    sys.exit(_run())


def _run() -> int:
    try:
        result = program.main(prog_name="muxi-runtime", standalone_mode=False)
    except click.Abort:
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Exception as error:
        known = first_known(error)
        if known is None:
            raise
        return show(known)
    return result if isinstance(result, int) else ExitCode.OK


@contextmanager
def _quiet_about_broken_pipe() -> Iterator[None]:
    """Whoever read us has gone: end, and keep the interpreter's last flush from complaining about it."""
    try:
        yield
    except BrokenPipeError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
        raise click.exceptions.Exit(ExitCode.BROKEN_PIPE) from None
