"""`muxi-runtime tasks`: the caller's tasks and their sandboxes."""

from __future__ import annotations

import click

from muxi_runtime.cli.output import Output, json_option, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime

__all__ = ["tasks"]


@click.group()
def tasks() -> None:
    """List and end tasks: each has sandboxes and a workspace that live and die with it."""


@tasks.command("list")
@json_option
@with_runtime
def list_tasks(runtime: RuntimeClient, out: Output) -> None:
    """List your tasks, with the sandboxes that they hold."""
    found = runtime.get("tasks")
    rows = [
        (
            task["task"],
            task["principal"],
            task["client"],
            task["created_at"],
            f"{task['idle_seconds']:.0f} s",
            ", ".join(sandbox["server"] for sandbox in task["sandboxes"]) or "none",
        )
        for task in found["tasks"]
    ]
    out.show(found, table(("task", "principal", "client", "created", "idle", "sandboxes"), rows))


@tasks.command("end")
@click.argument("task")
@json_option
@with_runtime
def end_task(runtime: RuntimeClient, task: str, out: Output) -> None:
    """End one task: its sandboxes and its workspace are removed."""
    ended = runtime.delete("tasks", task)
    out.show(ended, f"Ended {task}.")
