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
@click.option("--all", "everybodys", is_flag=True, help="Everybody's; an owner, operator or auditor may.")
@json_option
@with_runtime
def list_tasks(runtime: RuntimeClient, *, everybodys: bool, out: Output) -> None:
    """List your tasks, with the sandboxes that they hold."""
    found = runtime.get("all-tasks" if everybodys else "tasks")
    rows = [
        (
            task["task"],
            task["principal"],
            task["client"],
            task["created_at"],
            f"{task['idle_seconds']:.0f} s",
            "yes" if task["kept"] else "no",
            ", ".join(_shown(sandbox) for sandbox in task["sandboxes"]) or "none",
        )
        for task in found["tasks"]
    ]
    out.show(found, table(("task", "principal", "client", "created", "idle", "kept", "sandboxes"), rows))


@tasks.command("end")
@click.argument("task")
@click.option("--any", "anybodys", is_flag=True, help="Also where it is somebody else's; an owner or operator may.")
@json_option
@with_runtime
def end_task(runtime: RuntimeClient, task: str, *, anybodys: bool, out: Output) -> None:
    """End one task: its sandboxes and its workspace are removed."""
    ended = runtime.delete("all-tasks" if anybodys else "tasks", task)
    out.show(ended, f"Ended {task}.")


@tasks.command("keep")
@click.argument("task")
@json_option
@with_runtime
def keep_task(runtime: RuntimeClient, task: str, out: Output) -> None:
    """Keep one task across restarts of the runtime: its files, and its sandboxes as they are."""
    kept = runtime.put("tasks", task, "keep")
    out.show(kept, f"{task} is kept until it is ended or released.")


@tasks.command("release")
@click.argument("task")
@json_option
@with_runtime
def release_task(runtime: RuntimeClient, task: str, out: Output) -> None:
    """Keep a task no longer: it ends with the runtime, or when nobody uses it."""
    released = runtime.delete("tasks", task, "keep")
    out.show(released, f"{task} is not kept any more.")


def _shown(sandbox: dict[str, str]) -> str:
    return sandbox["server"] + (" (paused)" if sandbox["state"] == "paused" else "")
