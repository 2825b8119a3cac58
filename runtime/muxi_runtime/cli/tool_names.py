"""How people name a tool on the command line: `SERVER.TOOL`, or `SERVER__TOOL` as clients see it."""

from __future__ import annotations

import difflib
from typing import Any

import click

from muxi_runtime.cli.runtime_client import RuntimeClient
from muxi_runtime.errors import UnknownToolError

__all__ = ["find_tool", "full_name"]

SEPARATOR = "__"


def full_name(name: str) -> str:
    """The name as `/mcp` lists it.

    Raises:
        click.BadParameter: it names no server, or no tool of it.
    """
    # A server's name holds neither a dot nor an underscore, so whichever comes first separates.
    separator = min((s for s in (".", SEPARATOR) if s in name), key=name.index, default="")
    server, _, tool = name.partition(separator) if separator else (name, "", "")
    if not server or not tool:
        raise click.BadParameter(f"{name!r} is not like SERVER.TOOL", param_hint="SERVER.TOOL")
    return f"{server}{SEPARATOR}{tool}"


def find_tool(runtime: RuntimeClient, name: str) -> dict[str, Any]:
    """The entry of `/control/tools` for a tool.

    Raises:
        UnknownToolError: there is none of that name; says which name is near.
    """
    wanted = full_name(name)
    found: dict[str, dict[str, Any]] = {tool["name"]: tool for tool in runtime.get("tools")["tools"]}
    if wanted in found:
        return found[wanted]
    near = difflib.get_close_matches(wanted, found, n=1)
    hint = f"Did you mean {near[0].replace(SEPARATOR, '.', 1)!r}?" if near else "`muxi-runtime tools list` lists them."
    raise UnknownToolError(f"There is no tool {name!r}.", remedy=hint)
