"""`muxi-runtime keys`: API keys. Works on the database: the runtime need not run, and obeys at once if it does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, fields, json_option, plain, table
from muxi_runtime.cli.times import AfterNow
from muxi_runtime.config import Settings
from muxi_runtime.errors import JournalError
from muxi_runtime.identity.keys import KeyRecord, KeyStore
from muxi_runtime.identity.principal import LOCAL_USER, Principal
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.writer import append_once
from muxi_runtime.store.engine import database_path

__all__ = ["keys"]

STYLES = {"active": "green", "revoked": "red", "expired": "yellow"}


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.option("--user", default=LOCAL_USER, show_default=True, help="Whom the key stands for; made where new.")
@click.option("--name", default="", help="What the key is for, in your words.")
@click.option("--expires", type=AfterNow(), help="When it stops working: a span like 30d, or a date.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="Use: read, call, call:SERVER, call:SERVER.TOOL or admin. Without: all that the role allows.",
)
@json_option
@click.pass_obj
def create(
    invocation: Invocation, user: str, name: str, expires: datetime | None, scopes: tuple[str, ...], out: Output
) -> None:
    """Make a key and print it: this once, since only a hash of it is kept."""
    settings = invocation.settings()
    with opened(settings) as engine:
        store = KeyStore(engine)
        try:
            record, token = store.create(user, name=name, expires_at=expires, scopes=scopes or None)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        try:
            _journal(settings, "key.created", record)
        except JournalError:
            # A key that nobody can account for must not work; its token was not shown.
            store.revoke(record.id)
            raise
    shown = [("key", plain(token, "bold")), *_shown(record)]
    hint = "Copy the key now: it is not shown again. Clients send it as `Authorization: Bearer KEY`."
    out.show({"token": token, **_document(record)}, fields(shown), hint)


@keys.command("list")
@json_option
@click.pass_obj
def list_keys(invocation: Invocation, out: Output) -> None:
    """List all keys, revoked and expired ones too."""
    with opened(invocation.settings()) as engine:
        found = KeyStore(engine).list()
    columns = ("id", "user", "name", "scopes", "state", "created", "expires", "last used")
    rows = [
        (
            record.id,
            record.user,
            record.name,
            _scopes(record),
            plain(record.state(), STYLES[record.state()]),
            _minute(record.created_at),
            _minute(record.expires_at),
            _minute(record.last_used_at),
        )
        for record in found
    ]
    people = table(columns, rows) if rows else "There are no keys; `muxi-runtime keys create` makes one."
    out.show({"keys": [_document(record) for record in found]}, people)


@keys.command()
@click.argument("key_id", metavar="ID")
@json_option
@click.pass_obj
def revoke(invocation: Invocation, key_id: str, out: Output) -> None:
    """Make a key useless, from its next request on."""
    settings = invocation.settings()
    with opened(settings) as engine:
        # The id is public; whoever has only the key at hand may give that, and its secret goes nowhere.
        record = KeyStore(engine).revoke(_id_of(key_id))
    _journal(settings, "key.revoked", record)
    out.show(_document(record), f"Revoked {record.id} of {record.user}.")


def _id_of(text: str) -> str:
    return text.split("_")[1] if text.startswith("muxi_") else text


def _journal(settings: Settings, kind: str, record: KeyRecord) -> None:
    expires = record.expires_at.isoformat() if record.expires_at else None
    data = {"key": record.id, "user": record.user, "name": record.name, "expires_at": expires}
    data["scopes"] = _scopes(record)
    append_once(database_path(settings.home), settings.journal, Draft(kind, principal=str(Principal()), data=data))


def _document(record: KeyRecord) -> dict[str, Any]:
    times = {
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
    }
    return {
        "id": record.id,
        "user": record.user,
        "name": record.name,
        "scopes": None if record.scopes is None else sorted(record.scopes),
        "state": record.state(),
        **{name: moment.isoformat() if moment else None for name, moment in times.items()},
    }


def _shown(record: KeyRecord) -> list[tuple[str, object]]:
    return [
        ("id", record.id),
        ("user", record.user),
        ("name", record.name or None),
        ("scopes", _scopes(record)),
        ("expires", _minute(record.expires_at) if record.expires_at else "never"),
    ]


def _scopes(record: KeyRecord) -> str:
    return "all" if record.scopes is None else " ".join(sorted(record.scopes)) or "none"


def _minute(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if moment else None
