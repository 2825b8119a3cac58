"""`muxi-runtime workspace`: files in and out of a task's workspace, and snapshots of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from muxi_runtime.catalog.labels import Label
from muxi_runtime.cli.local_files import new_file, packed_local, spooled, unpack_to
from muxi_runtime.cli.output import Output, json_option, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.cli.tar_transfer import Transfer
from muxi_runtime.cli.transfer_progress import TransferProgress

__all__ = ["workspace"]

LOCAL = click.Path(path_type=Path)


@click.group()
def workspace() -> None:
    """Move files in and out of a task's workspace, and keep snapshots of it."""


@workspace.command("list")
@click.argument("task")
@click.argument("path", default="")
@json_option
@with_runtime
def list_files(runtime: RuntimeClient, task: str, path: str, out: Output) -> None:
    """List what is in a folder of the workspace, with kind and size."""
    found = Transfer(runtime).ask("GET", "tasks", task, "files", query={"path": path})
    rows = [(entry["path"], entry["kind"], entry["bytes"]) for entry in found["entries"]]
    out.show(found, table(("name", "kind", "bytes"), rows), *_left_out(found))


@workspace.command()
@click.argument("task")
@click.argument("local", type=LOCAL)
@click.argument("path", default="")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option(
    "--label",
    type=click.Choice([label.value for label in Label]),
    help="What the files carry: the task has it from then on.",
)
@json_option
@with_runtime
def put(
    runtime: RuntimeClient, task: str, local: Path, path: str, *, overwrite: bool, label: str | None, out: Output
) -> None:
    """Put a file at PATH, or all below a folder into PATH; without PATH, under its own name."""
    with packed_local(local, path) as packed, TransferProgress("putting") as progress:
        query = {"path": packed.into, "overwrite": "true" if overwrite else "false"} | (
            {"label": label} if label else {}
        )
        answer = Transfer(runtime, progress.moved).put("tasks", task, "tar", query=query, source=packed.tar)
    left_out = [{"path": path, "why": why} for path, why in packed.report.told]
    document = {**answer, "left_out": answer["left_out"] + packed.report.left_out, "told": answer["told"] + left_out}
    out.show(document, f"Put {_amount(document)} into {task}.", *_left_out(document))


@workspace.command()
@click.argument("task")
@click.argument("path")
@click.argument("local", type=LOCAL)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@json_option
@with_runtime
def get(runtime: RuntimeClient, task: str, path: str, local: Path, *, overwrite: bool, out: Output) -> None:
    """Get the file at PATH as LOCAL, or all below the folder PATH into LOCAL; `.` is the whole workspace."""
    query = {"path": "" if path == "." else path}
    with spooled() as tar:
        with TransferProgress("getting") as progress:
            facts = Transfer(runtime, progress.moved).get("tasks", task, "tar", query=query, into=tar)
        tar.seek(0)
        target = unpack_to(tar, local, is_file=bool(facts.get("is_file")), overwrite=overwrite)
    document = {"task": task, "local": str(target), **facts}
    out.show(document, f"Got {_amount(facts)}: {target}", *_left_out(facts))


@workspace.command()
@click.argument("task")
@click.option("--note", default="", help="A word on what it is for.")
@json_option
@with_runtime
def snapshot(runtime: RuntimeClient, task: str, note: str, out: Output) -> None:
    """Keep what the workspace holds now; it outlives the task."""
    with TransferProgress("taking a snapshot"):
        taken = Transfer(runtime).ask("POST", "tasks", task, "snapshots", query={"note": note})
    out.show(taken, f"{taken['id']}: {_amount(taken)} of {task}", *_left_out(taken))


@workspace.command()
@click.argument("task", required=False)
@json_option
@with_runtime
def snapshots(runtime: RuntimeClient, task: str | None, out: Output) -> None:
    """List your snapshots, of one task or of all."""
    found = Transfer(runtime).ask("GET", "snapshots", query={"task": task} if task else {})
    columns = ("id", "task", "at", "files", "bytes", "note")
    out.show(found, table(columns, [[one[column] for column in columns] for one in found["snapshots"]]))


@workspace.command()
@click.argument("task")
@click.argument("snapshot")
@json_option
@with_runtime
def restore(runtime: RuntimeClient, task: str, snapshot: str, out: Output) -> None:
    """Make the workspace hold what a snapshot does, and nothing else."""
    with TransferProgress("restoring"):
        answer = Transfer(runtime).ask("POST", "tasks", task, "restore", snapshot)
    out.show(answer, f"Restored {snapshot} in {task}: {_amount(answer)}")


@workspace.command()
@click.argument("snapshot")
@json_option
@with_runtime
def remove(runtime: RuntimeClient, snapshot: str, out: Output) -> None:
    """Remove a snapshot."""
    answer = Transfer(runtime).ask("DELETE", "snapshots", snapshot)
    out.show(answer, f"Removed {snapshot}.")


@workspace.command()
@click.argument("task")
@click.argument("file", type=LOCAL)
@click.option("--snapshot", help="That snapshot, instead of what TASK holds now; it need not be of TASK.")
@json_option
@with_runtime
def export(runtime: RuntimeClient, task: str, file: Path, snapshot: str | None, out: Output) -> None:
    """Write the workspace as a plain tar: sorted, without owners, the same bytes for the same content."""
    path = ("snapshots", snapshot, "tar") if snapshot else ("tasks", task, "tar")
    with new_file(file) as tar, TransferProgress("exporting") as progress:
        facts = Transfer(runtime, progress.moved).get(*path, query={}, into=tar)
    out.show({"file": str(file), **facts}, f"Wrote {_amount(facts)} to {file}", *_left_out(facts))


def _amount(facts: dict[str, Any]) -> str:
    count = facts["files"]
    return f"{count} {'file' if count == 1 else 'files'}, {facts['bytes']} bytes"


def _left_out(facts: dict[str, Any]) -> list[str]:
    """A line for each thing that is no regular file, or has no usable name."""
    count, told = facts.get("left_out", 0), facts.get("told", [])
    lines = [f"left out: {one['path']}: {one['why']}" for one in told]
    return lines + ([f"left out: {count - len(told)} more"] if count > len(told) else [])
