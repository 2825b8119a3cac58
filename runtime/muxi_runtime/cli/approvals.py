"""`muxi-runtime approvals`: what rules ask a person about, and the person's answer."""

from __future__ import annotations

from typing import Any

import click

from muxi_runtime.cli.output import Output, fields, json_option, plain, table
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.policy.approvals import Scope, means

__all__ = ["approvals"]

STYLES = {"waiting": "yellow", "allowed": "green", "denied": "red"}
MAX_CELL = 60
SCOPES = [scope.value for scope in Scope]


@click.group()
def approvals() -> None:
    """List and answer what rules ask a person about."""


@approvals.command("list")
@click.option("--all", "ended", is_flag=True, help="Those that are over too.")
@json_option
@with_runtime
def list_approvals(runtime: RuntimeClient, out: Output, *, ended: bool) -> None:
    """List what waits for an answer and what is allowed, of yours."""
    found = runtime.get("approvals", query={"ended": "true"} if ended else None)
    rows = [
        (
            approval["approval"],
            plain(approval["state"], STYLES.get(approval["state"], "")),
            approval["scope"],
            _cut(approval["title"]),
            _cut(approval["arguments"]),
            approval["principal"],
            ", ".join(approval["rules"]),
            _time(approval["expires_at"]),
        )
        for approval in found["approvals"]
    ]
    columns = ("approval", "state", "for", "what", "with", "principal", "rules", "until (UTC)")
    out.show(found, table(columns, rows) if rows else "Nothing waits, and nothing is allowed.")


@approvals.command()
@click.argument("approval")
@json_option
@with_runtime
def show(runtime: RuntimeClient, out: Output, approval: str) -> None:
    """Show one approval: all that is asked about, and what came of it."""
    found = runtime.get("approvals", approval)
    out.show(found, fields((name, value) for name, value in _facts(found) if value not in (None, "")))


@approvals.command()
@click.argument("approval")
@click.option(
    "--for",
    "scope",
    type=click.Choice(SCOPES),
    default=SCOPES[0],
    show_default=True,
    help="; ".join(f"{scope.value}: {means(scope)}" for scope in Scope) + ".",
)
@json_option
@with_runtime
def allow(runtime: RuntimeClient, out: Output, approval: str, scope: str) -> None:
    """Allow it: exactly what was asked, once, unless `--for` says more."""
    found = runtime.post("approvals", approval, body={"allow": True, "for": scope})
    out.show(found, f"Allowed {found['title']}: {found['means']}.")


@approvals.command()
@click.argument("approval")
@click.option("--reason", default="", help="What the caller is told.")
@json_option
@with_runtime
def deny(runtime: RuntimeClient, out: Output, approval: str, reason: str) -> None:
    """Deny it; the caller is told."""
    found = runtime.post("approvals", approval, body={"allow": False, "reason": reason})
    out.show(found, f"Denied {found['title']}.")


@approvals.command()
@click.argument("approval")
@json_option
@with_runtime
def revoke(runtime: RuntimeClient, out: Output, approval: str) -> None:
    """Take back what was allowed and is not used up."""
    found = runtime.delete("approvals", approval)
    out.show(found, f"Took back {approval}: {found['title']} is not allowed any more.")


def _facts(found: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("approval", found["approval"]),
        ("state", plain(found["state"], STYLES.get(found["state"], ""))),
        ("allowed for", found["means"]),
        ("what", found["title"]),
        ("arguments", found["arguments"]),
        ("principal", found["principal"]),
        ("task", found["task"]),
        ("rules", ", ".join(found["rules"])),
        ("reason", found["reason"]),
        ("pin", found["pin"]),
        ("asked (UTC)", _time(found["created_at"])),
        ("until (UTC)", _time(found["expires_at"])),
        ("answered (UTC)", _time(found["answered_at"])),
        ("answered by", found["answered_by"]),
        ("note", found["note"]),
    ]


def _time(text: str | None) -> str | None:
    return text[:19].replace("T", " ") if text else None


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 3] + "..."
