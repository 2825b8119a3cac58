"""`muxi-runtime connect`: the runtime as a stdio MCP server, for clients that launch a command."""

from __future__ import annotations

import anyio
import click

from muxi_runtime.cli.runtime_client import RuntimeClient, tools_option, with_runtime

__all__ = ["connect"]


@click.command()
@click.option("--server", help="Only this server's tools, without a prefix.")
@tools_option
@with_runtime
def connect(runtime: RuntimeClient, server: str | None, tools: str | None) -> None:
    """Bridge standard input and output to the running runtime, in either era of MCP.

    For clients that start their servers themselves: give them this command.
    """
    from muxi_runtime.gateway.bridge import run  # noqa: PLC0415 - `connect --help` must not wait for the MCP SDK

    anyio.run(run, runtime.endpoint(server, tools), runtime.key)
