"""`muxi-runtime tasks`: the caller's tasks, their sandboxes, and what they have seen."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click

from muxi_runtime.catalog.labels import Label
from muxi_runtime.cli.output import Output, fields, json_option, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.cli.tar_transfer import Transfer
from muxi_runtime.cli.terminal import printable
from muxi_runtime.errors import DeniedError, RefusedError
from muxi_runtime.policy.approvals import Scope, State, means

__all__ = ["declassified_table", "tasks", "withheld_line"]

MEANING = {
    Label.PRIVATE: "What this task has seen may then get out of it.",
    Label.UNTRUSTED: "What strangers wrote in this task may then lead it to private data and a way out.",
}

label_option = click.option(
    "--label", type=click.Choice([label.value for label in Label]), required=True, help="Which."
)


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
            ", ".join(task["labels"]) or "none",
            ", ".join(_shown(sandbox) for sandbox in task["sandboxes"]) or "none",
        )
        for task in found["tasks"]
    ]
    out.show(found, table(("task", "principal", "client", "created", "idle", "kept", "labels", "sandboxes"), rows))


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


@tasks.command("show")
@click.argument("task")
@json_option
@with_runtime
def show_task(runtime: RuntimeClient, task: str, out: Output) -> None:
    """Show one task: its sandboxes, and what it has seen, with what set each label first."""
    found = runtime.get("tasks", task)
    out.show(found, *_described(found))


@tasks.command("label")
@click.argument("task")
@label_option
@json_option
@with_runtime
def label_task(runtime: RuntimeClient, task: str, label: str, out: Output) -> None:
    """Say that a task has seen private or untrusted content, as before you give it some."""
    labelled = runtime.put("tasks", task, "labels", label)
    out.show(labelled, f"{task} has the label {label}.")


@tasks.command("declassify")
@click.argument("task")
@label_option
@click.option("--reason", required=True, help="Why that is right; it is kept in the journal.")
@click.option(
    "--for",
    "length",
    type=click.Choice([Scope.HOUR.value, Scope.TASK.value]),
    default=Scope.HOUR.value,
    show_default=True,
    help="How long, at most: until such content is seen again.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_runtime
def declassify_task(
    runtime: RuntimeClient, task: str, label: str, reason: str, *, length: str, yes: bool, out: Output
) -> None:
    """Take a label off: an operator does, others ask one. The task then counts as one that has seen no such content."""
    found = runtime.get("tasks", task)
    if not yes and not _is_confirmed(found, label):
        raise RefusedError(f"Nothing was changed: {task} keeps the label {label}.")
    query = {"reason": reason, "for": length}
    declassified = Transfer(runtime).ask("DELETE", "tasks", task, "labels", label, query=query)
    approval = declassified["approval"]
    if approval["state"] == State.WAITING:
        raise DeniedError(
            f"{task} keeps the label {label} until an operator takes it off: {approval['approval']} waits.",
            rule="",
            remedy=f"Have an operator run `muxi-runtime approvals allow {approval['approval']}`.",
            approval=approval["approval"],
        )
    meant = means(Scope(length), "declassify").removeprefix("it is off ")
    out.show(declassified, f"{task} does not have the label {label} any more {meant} ({approval['approval']}).")


@tasks.command("withheld")
@click.argument("task")
@click.argument("name", required=False)
@json_option
@with_runtime
def withheld(runtime: RuntimeClient, task: str, name: str | None, out: Output) -> None:
    """Show what models were not given of a task's results, since it reads like orders to them. It is kept for a while.

    NAME is one of those that are listed without it; the journal has who read it.
    """
    if name is not None:
        one = runtime.get("tasks", task, "withheld", name)
        out.show(one, f"From {one['source']}, found by: {', '.join(one['rules'])}.\n", one["text"])
        return
    found = runtime.get("tasks", task, "withheld")
    rows = [
        (one["name"], one["source"], str(one["characters"]), ", ".join(one["rules"]), f"{one['seconds_left']} s")
        for one in found["withheld"]
    ]
    headings = ("name", "from", "characters", "found by", "kept for")
    out.show(found, table(headings, rows) if rows else "Nothing is withheld, or it is not kept any more.")


def _is_confirmed(task: dict[str, Any], label: str) -> bool:
    if not sys.stdin.isatty():
        raise RefusedError("Not done: nobody is there to be asked.", remedy="Run it in a terminal, or give --yes.")
    mark = task["labels"].get(label, {"source": "nothing", "why": "it does not have it"})
    click.echo(printable(f"{label}: set by {mark['source']}: {mark['why']}"), err=True)
    return click.confirm(f"{MEANING[Label(label)]} Take the label {label} off?", default=False, err=True)


def _described(task: dict[str, Any]) -> list[Any]:
    rows = [
        (label, mark["source"], mark["why"], mark["call"] or "", mark["at"]) for label, mark in task["labels"].items()
    ]
    sandboxes = ", ".join(_shown(sandbox) for sandbox in task["sandboxes"]) or "none"
    facts = [(name, str(task[name])) for name in ("task", "principal", "client", "created_at")]
    shown: list[Any] = [fields([*facts, ("kept", "yes" if task["kept"] else "no"), ("sandboxes", sandboxes)])]
    shown.append(table(("label", "set by", "why", "call", "at"), rows) if rows else "No labels.")
    return [*shown, *declassified_table(task), *withheld_line(task)]


def declassified_table(task: dict[str, Any]) -> Iterable[Any]:
    """The labels that were taken off a task, and by which approvals."""
    lifted = task["declassified"].items()
    rows = [(label, it["approval"], it["by"], it["reason"], it["until"] or "its end") for label, it in lifted]
    if rows:
        yield "\nTaken off"
        yield table(("label", "approval", "by", "reason", "until (UTC)"), rows)


def withheld_line(task: dict[str, Any]) -> Iterable[str]:
    """What models were not given in a task, if anything."""
    if count := task.get("withheld"):
        yield f"Of {count} results models were not given all: `muxi-runtime tasks withheld {task['task']}`."


def _shown(sandbox: dict[str, str]) -> str:
    return sandbox["server"] + (" (paused)" if sandbox["state"] == "paused" else "")
