"""`muxi-runtime users`: who there is. Works on the database: the runtime need not run, and obeys at once if it does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, fields, json_option, plain, table
from muxi_runtime.errors import JournalError
from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.identity.principal import LOCAL
from muxi_runtime.identity.roles import Role
from muxi_runtime.identity.users import UserRecord, UserStore
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.writer import append_once
from muxi_runtime.store.engine import database_path
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore

__all__ = ["users"]

STYLES = {"active": "green", "removed": "red", "disabled": "yellow"}
ROLES = click.Choice([role.value for role in Role])
ISSUER = "The authorization server whose tokens may name this user; see auth.oauth.issuer."


@click.group()
def users() -> None:
    """Add, list and change users: roles and groups."""


@users.command()
@click.argument("name")
@click.option("--role", type=ROLES, default=Role.USER.value, show_default=True, help="The most that the user may do.")
@click.option("--group", "groups", multiple=True, help="A group to be in.")
@click.option("--issuer", help=ISSUER)
@json_option
@click.pass_obj
def add(invocation: Invocation, name: str, role: str, groups: tuple[str, ...], issuer: str | None, out: Output) -> None:
    """Make a user; `muxi-runtime keys create --user NAME` makes a key."""
    record = _changed(invocation, "user.added", name, lambda store: store.add(name, Role(role), groups, issuer))
    out.show(_document(record), fields(_shown(record)))


@users.command("list")
@json_option
@click.pass_obj
def list_users(invocation: Invocation, out: Output) -> None:
    """List all users."""
    with opened(invocation.settings()) as engine:
        found = UserStore(engine).list()
    rows = [
        (user.name, user.role, " ".join(sorted(user.groups)) or None, _state(user), _minute(user.created_at))
        for user in found
    ]
    out.show({"users": list(map(_document, found))}, table(("user", "role", "groups", "state", "created"), rows))


@users.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(invocation: Invocation, name: str, out: Output) -> None:
    """Show one user, and the keys."""
    with opened(invocation.settings()) as engine:
        record = UserStore(engine).get(name)
        keys = [key for key in KeyStore(engine).list() if key.user == name]
    document = _document(record) | {"keys": [{"id": key.id, "name": key.name, "state": key.state()} for key in keys]}
    rows = [(key.id, key.name, key.state()) for key in keys]
    out.show(document, fields(_shown(record)), table(("key", "name", "state"), rows) if rows else "No keys.")


@users.command("set")
@click.argument("name")
@click.option("--role", type=ROLES, help="The most that the user may do.")
@click.option("--group", "join", multiple=True, help="A group to be in besides.")
@click.option("--no-group", "leave", multiple=True, help="A group to be in no more.")
@click.option("--issuer", help=f"{ISSUER} Empty: none.")
@json_option
@click.pass_obj
def set_user(
    invocation: Invocation,
    name: str,
    *,
    role: str | None,
    join: tuple[str, ...],
    leave: tuple[str, ...],
    issuer: str | None,
    out: Output,
) -> None:
    """Change role, groups or issuer, from the user's next request on."""
    record = _changed(
        invocation,
        "user.changed",
        name,
        lambda store: store.set(name, role=Role(role) if role else None, join=join, leave=leave, issuer=issuer),
    )
    out.show(_document(record), fields(_shown(record)))


@users.command()
@click.argument("name")
@json_option
@click.pass_obj
def disable(invocation: Invocation, name: str, out: Output) -> None:
    """Refuse a user's keys and tokens, from the next request on."""
    record = _changed(invocation, "user.changed", name, lambda store: store.disable(name))
    out.show(_document(record), f"Disabled {name}. `muxi-runtime users enable {name}` undoes it.")


@users.command()
@click.argument("name")
@json_option
@click.pass_obj
def enable(invocation: Invocation, name: str, out: Output) -> None:
    """Take a user's keys and tokens again."""
    record = _changed(invocation, "user.changed", name, lambda store: store.enable(name))
    out.show(_document(record), f"Enabled {name}.")


@users.command()
@click.argument("name")
@json_option
@click.pass_obj
def remove(invocation: Invocation, name: str, out: Output) -> None:
    """Remove a user for good: the keys are revoked, and nobody else gets the name."""
    record = _changed(invocation, "user.removed", name, lambda store: store.remove(name))
    settings = invocation.settings()
    with opened(settings) as engine:
        logins = LoginStore(engine, KeyFile(settings.secrets.key_path(settings.home)))
        for server in logins.servers(name):
            logins.forget(server, name)
    out.show(_document(record), f"Removed {name}; the keys are revoked.")


def _changed(invocation: Invocation, kind: str, name: str, change: Callable[[UserStore], UserRecord]) -> UserRecord:
    """Make a change, and write it down before it is told."""
    settings = invocation.settings()
    with opened(settings) as engine:
        store = UserStore(engine)
        before = store.find(name)
        try:
            record = change(store)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        try:
            draft = Draft(kind, principal=str(LOCAL), data=_document(record))
            append_once(database_path(settings.home), settings.journal, draft)
        except JournalError:
            # What nobody can account for must not hold.
            store.undo(name, before)
            raise
    return record


def _document(record: UserRecord) -> dict[str, Any]:
    return {
        "user": record.name,
        "role": record.role,
        "groups": sorted(record.groups),
        "state": record.state,
        "issuer": record.issuer,
        "created_at": record.created_at.isoformat() if record.created_at else None,
    }


def _shown(record: UserRecord) -> list[tuple[str, object]]:
    return [
        ("user", record.name),
        ("role", record.role),
        ("groups", " ".join(sorted(record.groups)) or None),
        ("state", _state(record)),
        ("issuer", record.issuer),
    ]


def _state(record: UserRecord) -> object:
    return plain(record.state, STYLES[record.state])


def _minute(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if moment else None
