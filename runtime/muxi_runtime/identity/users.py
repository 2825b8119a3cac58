"""Users, their roles and groups, in the runtime's database.

The user `local` is always there and always an owner: it is whoever runs commands on this machine, and the loopback
address without a key. So there is always an owner. The name of a user who was removed is never given again: tasks,
snapshots and journal tell people apart by it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from muxi_runtime.errors import IdentityError
from muxi_runtime.identity.principal import LOCAL_USER
from muxi_runtime.identity.roles import Role
from muxi_runtime.store.engine import reading, writing
from muxi_runtime.store.schema import keys, users
from muxi_runtime.store.times import from_text, utc_text

__all__ = ["UserRecord", "UserStore", "check_group", "check_user", "ensure_user", "groups_of"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MOST_GROUPS = 64
_LIST = "See them with `muxi-runtime users list`."


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What is known of a user.

    Attributes:
        state: `active`, `disabled` or `removed`.
        issuer: the authorization server whose tokens may name this user, where one may.
        created_at: in UTC; `None` for `local` before it had a key.
    """

    name: str
    role: Role
    groups: frozenset[str] = frozenset()
    state: str = "active"
    issuer: str | None = None
    created_at: datetime | None = None


class UserStore:
    """The users of one installation. Blocking, and safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, name: str, role: Role = Role.USER, groups: Collection[str] = (), issuer: str | None = None
    ) -> UserRecord:
        """Make a user.

        Raises:
            ValueError: not a name, a group's name or an issuer.
            IdentityError: there is, or was, one of that name.
        """
        check_user(name)
        row = {"role": role.value, "groups": _groups_text(groups), "issuer": _checked_issuer(issuer)}
        with writing(self._engine) as connection:
            found = _find(connection, name)
            if found is not None:
                raise _taken(found)
            connection.execute(insert(users).values(name=name, created_at=utc_text(), **row))
            return _must_find(connection, name)

    def get(self, name: str) -> UserRecord:
        """One user, removed ones too.

        Raises:
            IdentityError: there is none of that name.
        """
        with reading(self._engine) as connection:
            return _must_find(connection, name)

    def find(self, name: str) -> UserRecord | None:
        """One user, removed ones too; `None` where there never was one."""
        with reading(self._engine) as connection:
            return _find(connection, name)

    def list(self) -> tuple[UserRecord, ...]:
        """Every user but removed ones, by name."""
        with reading(self._engine) as connection:
            found = {row.name: _record(row) for row in connection.execute(select(users))}
        found.setdefault(LOCAL_USER, UserRecord(LOCAL_USER, Role.OWNER))
        return tuple(found[name] for name in sorted(found) if found[name].state != "removed")

    def set(
        self,
        name: str,
        *,
        role: Role | None = None,
        join: Collection[str] = (),
        leave: Collection[str] = (),
        issuer: str | None = None,
    ) -> UserRecord:
        """Change role, groups or issuer; holds from the user's next request on. An empty `issuer` takes it away.

        Raises:
            ValueError: not a group's name, or not an issuer.
            IdentityError: there is no such user, or it is `local`, which is always an owner.
        """
        if name == LOCAL_USER and (role not in {None, Role.OWNER} or issuer):
            raise _local_stays()
        with writing(self._engine) as connection:
            if name == LOCAL_USER:
                ensure_user(connection, name)
            before = _must_find(connection, name)
            _check_present(before)
            values = {
                "role": (role or before.role).value,
                "groups": _groups_text((before.groups | set(join)) - set(leave)),
                "issuer": before.issuer if issuer is None else _checked_issuer(issuer or None),
            }
            connection.execute(update(users).where(users.c.name == name).values(values))
            return _must_find(connection, name)

    def disable(self, name: str) -> UserRecord:
        """Refuse the user's keys and tokens, from the next request on, until `enable`. Raises as `set`."""
        return self._set_state(name, "disabled")

    def enable(self, name: str) -> UserRecord:
        """Take the user's keys and tokens again. Raises as `set`."""
        return self._set_state(name, "active")

    def remove(self, name: str) -> UserRecord:
        """For good: the user's keys are revoked, and the name is not given again. Raises as `set`."""
        return self._set_state(name, "removed")

    def undo(self, name: str, before: UserRecord | None) -> None:
        """Make the user what it was: for a change that could not be journalled. Revoked keys stay revoked."""
        this = users.c.name == name
        with writing(self._engine) as connection:
            if before is None or before.created_at is None:
                connection.execute(delete(users).where(this))
                return
            was = {"role": before.role.value, "groups": _groups_text(before.groups)}
            connection.execute(update(users).where(this).values(state=before.state, issuer=before.issuer, **was))

    def _set_state(self, name: str, state: str) -> UserRecord:
        if name == LOCAL_USER:
            raise _local_stays()
        with writing(self._engine) as connection:
            _check_present(_must_find(connection, name))
            connection.execute(update(users).where(users.c.name == name).values(state=state))
            if state == "removed":
                theirs = (keys.c.user == name) & keys.c.revoked_at.is_(None)
                connection.execute(update(keys).where(theirs).values(revoked_at=utc_text()))
            return _must_find(connection, name)


def ensure_user(connection: Connection, name: str) -> None:
    """Make the user where it is new: `local` as an owner, others as users.

    Raises:
        IdentityError: the user was removed.
    """
    found = connection.execute(select(users).where(users.c.name == name)).one_or_none()
    if found is None:
        role = Role.OWNER if name == LOCAL_USER else Role.USER
        connection.execute(insert(users).values(name=name, created_at=utc_text(datetime.now(UTC)), role=role.value))
    else:
        _check_present(_record(found))


def check_user(name: str) -> str:
    """The name, if it can be a user's.

    Raises:
        ValueError: it cannot; `/` for one parts user and key in the journal.
    """
    return _checked(name, "user")


def check_group(name: str) -> str:
    """The name, if it can be a group's.

    Raises:
        ValueError: it cannot.
    """
    return _checked(name, "group")


def groups_of(text: str) -> frozenset[str]:
    """As the column holds them."""
    return frozenset(text.split())


def _checked(name: str, whose: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} cannot be a {whose}'s name: use 1 to 64 letters, digits and . _ @ -, the first a letter"
            " or digit."
        )
    return name


def _checked_issuer(issuer: str | None) -> str | None:
    if issuer is not None and not (urlsplit(issuer).scheme in {"https", "http"} and urlsplit(issuer).hostname):
        raise ValueError(f"{issuer[:80]!r} is no issuer: give its URL, as auth.oauth.issuer in muxi.yaml has it.")
    return issuer


def _groups_text(groups: Collection[str]) -> str:
    if len(groups) > _MOST_GROUPS:
        raise ValueError(f"A user is in at most {_MOST_GROUPS} groups.")
    return " ".join(sorted(map(check_group, groups)))


def _find(connection: Connection, name: str) -> UserRecord | None:
    row = connection.execute(select(users).where(users.c.name == name)).one_or_none()
    if row is None and name == LOCAL_USER:
        return UserRecord(LOCAL_USER, Role.OWNER)
    return _record(row) if row is not None else None


def _must_find(connection: Connection, name: str) -> UserRecord:
    found = _find(connection, name)
    if found is None:
        raise IdentityError(f"There is no user {name[:80]!r}.", remedy=_LIST)
    return found


def _check_present(user: UserRecord) -> None:
    if user.state == "removed":
        raise IdentityError(f"The user {user.name!r} was removed.", remedy="Use another name: it is not given again.")


def _taken(user: UserRecord) -> IdentityError:
    if user.state == "removed":
        return IdentityError(f"There was a user {user.name!r}.", remedy="Use another name: it is not given again.")
    return IdentityError(f"There is a user {user.name!r} already.", remedy="Change it with `muxi-runtime users set`.")


def _local_stays() -> IdentityError:
    return IdentityError(
        f"The user {LOCAL_USER!r} is whoever runs this machine, and always an owner.",
        remedy="To close the loopback address to calls without a key, set gateway.require_key: always in muxi.yaml.",
    )


def _record(row: Row[tuple[object, ...]]) -> UserRecord:
    return UserRecord(
        name=row.name,
        role=Role(row.role),
        groups=groups_of(row.groups),
        state=row.state,
        issuer=row.issuer,
        created_at=from_text(row.created_at),
    )
