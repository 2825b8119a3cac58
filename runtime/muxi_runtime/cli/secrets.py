"""`muxi-runtime secrets`: values that tools never see. Works on the state folder; a running runtime obeys at once.

A value comes from a prompt that does not show it, or from standard input: never from the command line, which other
users can read and shells write down. No command prints one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, json_option, plain, table
from muxi_runtime.config import Settings, read_catalog
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.writer import append_once
from muxi_runtime.store.engine import database_path
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.store import SecretRecord, Vault, check_name, check_value

__all__ = ["secrets"]


@click.group()
def secrets() -> None:
    """Set, list, remove and rotate secrets."""


@secrets.command("set")
@click.argument("name")
@json_option
@click.pass_obj
def set_secret(invocation: Invocation, name: str, out: Output) -> None:
    """Set a secret; its value is asked for, or read from standard input."""
    settings = invocation.settings()
    with _vault(settings) as vault, _usage_errors():
        check_name(name)
        value = _value(name)
        check_value(value)
        _journal(settings, "secret.set", name=name)
        record = vault.set(name, value)
    out.show(_document(record), f"Set {name}. Connections that begin from now on use it.")


@secrets.command("list")
@json_option
@click.pass_obj
def list_secrets(invocation: Invocation, out: Output) -> None:
    """List the secrets, when each was set, and which servers use it for which hosts; never a value."""
    settings = invocation.settings()
    with _vault(settings) as vault:
        records = {record.name: record for record in vault.list()}
    uses = _uses(settings)
    names = sorted({*records, *uses})
    found = [_document(records.get(name), name) | {"uses": uses.get(name, [])} for name in names]
    rows = [
        (
            one["name"],
            plain("set", "green") if one["set"] else plain("missing", "red"),
            _minute(records[one["name"]].set_at) if one["set"] else None,
            "; ".join(map(_use_line, one["uses"])) or "nobody uses it",
        )
        for one in found
    ]
    empty = "There are no secrets; `muxi-runtime secrets set NAME` sets one."
    out.show({"secrets": found}, table(("name", "state", "set at", "used by"), rows) if rows else empty)


@secrets.command("remove")
@click.argument("name")
@json_option
@click.pass_obj
def remove_secret(invocation: Invocation, name: str, out: Output) -> None:
    """Forget a secret. Servers that need it stay, and are refused when they would use it."""
    settings = invocation.settings()
    with _vault(settings) as vault:
        vault.require(name)
        _journal(settings, "secret.removed", name=name)
        vault.remove(name)
    out.show({"removed": name}, f"Removed {name}.")


@secrets.command("rotate")
@click.argument("name", required=False)
@click.option("--key", "of_key", is_flag=True, help="Encrypt all secrets under a new key; their values stay.")
@json_option
@click.pass_obj
def rotate_secret(invocation: Invocation, name: str | None, *, of_key: bool, out: Output) -> None:
    """Give the secret NAME a new value, or with `--key` encrypt all of them under a new key."""
    if bool(name) is of_key:
        raise click.UsageError("Give either the NAME of a secret or --key.")
    settings = invocation.settings()
    with _vault(settings) as vault, _usage_errors():
        if name is None:
            _journal(settings, "secret.key_rotated")
            count = vault.rotate_key()
            out.show({"rotated": count}, f"Encrypted {count} secrets under a new key.")
            return
        vault.require(name)
        value = _value(name)
        check_value(value)
        _journal(settings, "secret.rotated", name=name)
        record = vault.replace(name, value)
    out.show(_document(record), f"Rotated {name}. Connections that begin from now on use the new value.")


@contextmanager
def _vault(settings: Settings) -> Iterator[Vault]:
    with opened(settings) as engine:
        yield Vault(engine, KeyFile(settings.secrets.key_path(settings.home)))


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _value(name: str) -> str:
    """From a person, or one line from standard input."""
    if sys.stdin.isatty():
        asked: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    text = sys.stdin.read()
    return text.removesuffix("\n").removesuffix("\r")


def _uses(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """By secret: which servers use it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for server, manifest in read_catalog(settings).servers.items():
        for name, use in _secrets_of(manifest):
            found.setdefault(name, []).append({"server": server, **use})
    return found


def _secrets_of(manifest: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, use in manifest.profile.secrets.items():
        yield name, use.model_dump(mode="json")


def _use_line(use: dict[str, Any]) -> str:
    if use["expose"]:
        return f"{use['server']}, which sees the value"
    return f"{use['server']} for {', '.join(use['hosts']) or 'no host'} ({', '.join(use['places'])})"


def _document(record: SecretRecord | None, name: str = "") -> dict[str, Any]:
    if record is None:
        return {"name": name, "set": False, "created_at": None, "set_at": None}
    times = {"created_at": record.created_at.isoformat(), "set_at": record.set_at.isoformat()}
    return {"name": record.name, "set": True, **times}


def _journal(settings: Settings, kind: str, **data: str) -> None:
    """Before the change: one that nobody can account for is not made."""
    append_once(database_path(settings.home), settings.journal, Draft(kind, principal=str(Principal()), data=data))


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
