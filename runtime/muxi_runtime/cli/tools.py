"""`muxi-runtime tools`: the tools that the running runtime offers."""

from __future__ import annotations

import json

import click

from muxi_runtime.cli.output import Output, fields, json_option, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.cli.tool_names import SEPARATOR, find_tool

__all__ = ["tools"]

PIN_SHOWN = 12
"""Hexadecimal digits of a pin in a table; `inspect` and `--json` show all 64."""


@click.group()
def tools() -> None:
    """List and inspect the tools."""


@tools.command("list")
@click.option("--server", help="Only this server's.")
@json_option
@with_runtime
def list_tools(runtime: RuntimeClient, server: str | None, out: Output) -> None:
    """List the tools."""
    found = [tool for tool in runtime.get("tools")["tools"] if server in {None, tool["server"]}]
    rows = [
        (tool["name"].replace(SEPARATOR, ".", 1), tool["pin"][:PIN_SHOWN], _first_line(tool["definition"]))
        for tool in found
    ]
    out.show({"tools": found}, table(("tool", "pin", "description"), rows))


@tools.command("inspect")
@click.argument("name", metavar="SERVER.TOOL")
@json_option
@with_runtime
def inspect_tool(runtime: RuntimeClient, name: str, out: Output) -> None:
    """Show one tool's whole definition, as its server gave it, and its pin."""
    tool = find_tool(runtime, name)
    definition = tool["definition"]
    shown = [("name", tool["name"]), ("server", tool["server"]), ("pin", tool["pin"])]
    texts = [(key, value) for key, value in definition.items() if isinstance(value, str) and key != "name"]
    others = [(key, json.dumps(value, indent=2)) for key, value in definition.items() if not isinstance(value, str)]
    out.show(tool, fields([*shown, *texts, *others]))


def _first_line(definition: dict[str, object]) -> str:
    text = str(definition.get("description") or definition.get("title") or "").strip()
    return text.splitlines()[0] if text else ""
