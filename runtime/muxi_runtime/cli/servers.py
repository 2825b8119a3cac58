"""`muxi-runtime servers`: the servers that there are, and how more of them come."""

from __future__ import annotations

import difflib
import json
from typing import Any

import click
from rich.console import RenderableType

from muxi_runtime.cli.add_options import add_options, key_option, wish_of
from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.output import Output, fields, json_option, plain, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.cli.server_logins import login, login_line, logout
from muxi_runtime.errors import UnknownToolError

__all__ = ["servers"]


@click.group()
def servers() -> None:
    """Add, list, update and remove servers."""


@servers.command("list")
@json_option
@with_runtime
def list_servers(runtime: RuntimeClient, out: Output) -> None:
    """List the servers, their state, how many tools they offer, and where they may connect to."""
    found = runtime.get("servers")
    rows = [
        (
            server["name"],
            plain(server["state"], "red" if server["error"] else "green"),
            len(server["tools"]),
            "yes" if server.get("built_in") else "no",
            ", ".join(server.get("profile", {}).get("network", {}).get("allow", ())) or "none",
            server["error"] or login_line(server) or server.get("title", ""),
        )
        for server in found["servers"]
    ]
    out.show(found, table(("server", "state", "tools", "built in", "network", ""), rows))


@servers.command("inspect")
@click.argument("name")
@json_option
@with_runtime
def inspect_server(runtime: RuntimeClient, name: str, out: Output) -> None:
    """Show one server: what it runs, what its sandbox gets, which tools it offers."""
    found = {server["name"]: server for server in runtime.get("servers")["servers"]}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(found) or 'none'}."
        raise UnknownToolError(f"There is no server {name!r}.", remedy=hint)
    server = found[name]
    shown = [(key.replace("_", " "), _text(value)) for key, value in server.items()]
    out.show(server, fields(shown))


@servers.command("add")
@click.argument("source")
@add_options
@click.option("--yes", is_flag=True, help="Do not ask; takes only a server about which nothing looks suspicious.")
@key_option
@json_option
@click.pass_obj
def add_server(
    invocation: Invocation,
    /,
    source: str,
    *,
    yes: bool,
    key: str | None,
    out: Output,
    **options: Any,  # noqa: ANN401 - those of add_options
) -> None:
    """Install a server from SOURCE in a sandbox, show its tools and what it would get, and ask.

    SOURCE is npm:@scope/name[@version], pypi:name[==version], oci:image[@digest], path:folder, openapi:FILE-or-URL, or
    a server.json.
    """
    from muxi_runtime.cli import server_commands  # noqa: PLC0415 - `--help` must not load the rest

    server_commands.add(invocation.settings(), wish_of(source, options), yes=yes, key=key, out=out)


@servers.command("update")
@click.argument("name")
@click.option("--version", help="Absent: the newest.")
@click.option("--yes", is_flag=True, help="Do not ask; takes only what does not look suspicious.")
@key_option
@json_option
@click.pass_obj
def update_server(
    invocation: Invocation, name: str, *, version: str | None, yes: bool, key: str | None, out: Output
) -> None:
    """Install an added server anew, show what is different, and ask.

    Its profile stays as it is. Tools that are different are not offered until `pins accept` takes them.
    """
    from muxi_runtime.cli import server_commands  # noqa: PLC0415 - as above

    server_commands.update(invocation.settings(), name, version, yes=yes, key=key, out=out)


@servers.command("remove")
@click.argument("name")
@key_option
@json_option
@click.pass_obj
def remove_server(invocation: Invocation, name: str, *, key: str | None, out: Output) -> None:
    """Take an added server away, with what was accepted of it."""
    from muxi_runtime.cli import server_commands  # noqa: PLC0415 - as above

    server_commands.remove(invocation.settings(), name, key=key, out=out)


@servers.command("disable")
@click.argument("name")
@key_option
@json_option
@click.pass_obj
def disable_server(invocation: Invocation, name: str, *, key: str | None, out: Output) -> None:
    """Stop offering a server; what was accepted of it stays."""
    from muxi_runtime.cli import server_commands  # noqa: PLC0415 - as above

    server_commands.switch(invocation.settings(), name, on=False, key=key, out=out)


@servers.command("enable")
@click.argument("name")
@key_option
@json_option
@click.pass_obj
def enable_server(invocation: Invocation, name: str, *, key: str | None, out: Output) -> None:
    """Offer a server again that was disabled."""
    from muxi_runtime.cli import server_commands  # noqa: PLC0415 - as above

    server_commands.switch(invocation.settings(), name, on=True, key=key, out=out)


@servers.command("logs")
@click.argument("name")
@json_option
@with_runtime
def server_logs(runtime: RuntimeClient, name: str, out: Output) -> None:
    """Show what a server wrote to standard error in the sandboxes of your tasks."""
    found = runtime.get("servers", name, "logs")
    parts: list[RenderableType | str] = []
    for entry in found["sandboxes"]:
        parts += [plain(f"task {entry['task']}, sandbox {entry['sandbox'][:12]}", "bold")]
        parts += [plain(line) for line in entry["stderr"].splitlines()]
    out.show(found, *(parts or ["No sandbox of it runs in a task of yours."]))


@servers.command("doctor")
@click.argument("name")
@json_option
@click.pass_context
def server_doctor(ctx: click.Context, name: str, out: Output) -> None:
    """Check an added server: its manifest, its image, whether it starts, and its pins; exit 1 when something fails."""
    from muxi_runtime.cli import server_checks  # noqa: PLC0415 - as above

    if not server_checks.check(ctx.ensure_object(Invocation).settings(), name, out):
        ctx.exit(ExitCode.FAILED)


servers.add_command(login)
servers.add_command(logout)


def _text(value: object) -> str:
    """A value on one line; lists by their items, anything with structure as JSON."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return json.dumps(value) if isinstance(value, dict) else str(value)
