"""The options of `muxi-runtime clients`: which entry is meant, and how it is written or shown."""

from __future__ import annotations

import functools
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from muxi_runtime.cli.runtime_client import GIVE_KEY, RuntimeClient, base_url, tools_option
from muxi_runtime.config import Settings
from muxi_runtime.errors import IdentityError
from muxi_runtime.setup.clients.entry import Way
from muxi_runtime.setup.clients.known import KNOWN, Client, Machine

__all__ = ["Manner", "Target", "client_argument", "manner_options", "target_options", "way_to"]

DEFAULT_NAME = "muxi"
SERVER = re.compile(r"[a-z][a-z0-9-]{0,31}")

Result = TypeVar("Result")

client_argument = click.argument("client", metavar="NAME", type=click.Choice(tuple(KNOWN)))


@dataclass(frozen=True, slots=True)
class Target:
    """Which entry of which file.

    Attributes:
        server: the one server that is wanted; `None` for all.
        project: a project's folder, for its own file; `None` for the user's.
        name: as given; empty takes the default.
    """

    server: str | None
    project: Path | None
    given_name: str

    @property
    def name(self) -> str:
        """What the entry is called in the file."""
        return self.given_name or (f"{DEFAULT_NAME}-{self.server}" if self.server else DEFAULT_NAME)

    def file(self, client: Client, machine: Machine) -> Path:
        """The file that the entry is in.

        Raises:
            click.UsageError: the client reads no file of a project.
        """
        if self.project is None:
            return client.file(machine)
        if not client.project:
            raise click.UsageError(f"{client.title} reads no file of a project: leave --project out.")
        return self.project.absolute() / client.project


@dataclass(frozen=True, slots=True)
class Manner:
    """How an entry is made, and what is shown of it."""

    tools: str | None
    as_command: bool
    only_print: bool
    dry_run: bool
    replace: bool
    show_key: bool


def target_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add `--server`, `--project` and `--name`; the command gets `target: Target`."""

    @click.option("--server", callback=_checked_server, help="Only this server's tools, without a prefix.")
    @click.option(
        "--project",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The file of the project in this folder, instead of yours.",
    )
    @click.option("--name", default="", help="What the entry is called.  [default: muxi, or muxi-SERVER]")
    @functools.wraps(command)
    def wrapped(*args: object, server: str | None, project: Path | None, name: str, **rest: object) -> Result:
        return command(*args, target=Target(server, project, name), **rest)

    return wrapped


def manner_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add the options of `Manner`; the command gets `manner: Manner`."""

    @tools_option
    @click.option(
        "--connect", "as_command", is_flag=True, help="Start `muxi-runtime connect`, also where a URL would do."
    )
    @click.option("--print", "only_print", is_flag=True, help="Only print the configuration.")
    @click.option("--dry-run", is_flag=True, help="Only show what would be changed, as a diff.")
    @click.option("--replace", is_flag=True, help="Overwrite another entry of the same name.")
    @click.option("--show-key", is_flag=True, help="Show the key in what is printed.")
    @functools.wraps(command)
    def wrapped(
        *args: object,
        tools: str | None,
        as_command: bool,
        only_print: bool,
        dry_run: bool,
        replace: bool,
        show_key: bool,
        **rest: object,
    ) -> Result:
        manner = Manner(tools, as_command, only_print, dry_run, replace, show_key)
        return command(*args, manner=manner, **rest)

    return wrapped


def way_to(
    runtime: RuntimeClient,
    settings: Settings,
    server: str | None,
    tools: str | None = None,
    *,
    needs_key: bool = True,
) -> Way:
    """How a client reaches the runtime; `tools` as `RuntimeClient.endpoint` takes it.

    Raises:
        IdentityError: this runtime wants a key from everyone, and none was given.
    """
    local = runtime.url == base_url(settings)
    if needs_key and local and settings.gateway.keys_required and not runtime.key:
        raise IdentityError("This runtime wants a key from every client, and none was given.", remedy=GIVE_KEY)
    where = ("--home", str(settings.home)) if local else ()
    if local and settings.source not in (None, settings.home / "muxi.yaml"):
        where = ("--config", str(settings.source), *where)
    asked = () if local else ("--url", runtime.url)
    only = ("--server", server) if server else ()
    shown = ("--tools", tools) if tools else ()
    command = (*_program(), *where, "connect", *asked, *only, *shown)
    return Way(runtime.endpoint(server, tools), command, runtime.key or "")


def _program() -> tuple[str, ...]:
    """This program by its full path: a client with a window has another search path than a terminal."""
    name = Path(sys.argv[0]).name
    found = shutil.which(sys.argv[0]) if name == "muxi-runtime" else None
    return (str(Path(found).absolute()),) if found else (sys.executable, "-P", "-m", "muxi_runtime")


def _checked_server(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not SERVER.fullmatch(value):
        raise click.BadParameter("must be a server's name, as `muxi-runtime servers list` shows it")
    return value
