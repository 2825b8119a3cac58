"""`muxi-runtime servers`: the servers that the running runtime offers."""

from __future__ import annotations

import difflib
import json

import click

from muxi_runtime.cli.output import Output, fields, json_option, plain, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.errors import UnknownToolError

__all__ = ["servers"]


@click.group()
def servers() -> None:
    """List and inspect the servers."""


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
            server["error"] or server.get("title", ""),
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


def _text(value: object) -> str:
    """A value on one line; lists by their items, anything with structure as JSON."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return json.dumps(value) if isinstance(value, dict) else str(value)
