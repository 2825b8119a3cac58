"""`muxi-runtime status`: the running runtime, part by part."""

from __future__ import annotations

import click

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.output import Output, fields, json_option, mark, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime

__all__ = ["status"]


@click.command()
@json_option
@with_runtime
@click.pass_context
def status(ctx: click.Context, runtime: RuntimeClient, out: Output) -> None:
    """Show whether the runtime works, part by part; exit 1 when a part does not."""
    found = runtime.get("status")
    components = found["components"]
    rows = [(part["name"], mark(part["ok"]), part["detail"], part["cure"]) for part in components]
    summary = (("version", found["version"]), ("pid", found["pid"]), ("url", found["url"]), ("tasks", found["tasks"]))
    out.show(found, fields(summary), "", table(("part", "state", "detail", "what to do"), rows))
    if not all(part["ok"] for part in components):
        ctx.exit(ExitCode.FAILED)
