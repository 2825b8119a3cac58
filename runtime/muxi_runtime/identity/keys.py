"""API keys, in the runtime's database.

A key is `muxi_<id>_<secret>`: the id is public and finds the row, the secret is 256 random bits and is shown once.
Calls block for a fraction of a millisecond (one read by primary key), so that a key revoked by any process is
refused from the next request on.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine, Row, bindparam, insert, select, update
from sqlalchemy.exc import OperationalError

from muxi_runtime.errors import IdentityError
from muxi_runtime.identity.principal import LOCAL, LOCAL_USER, Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.identity.scopes import parse_scopes
from muxi_runtime.identity.users import UserStore, check_user, ensure_user, groups_of
from muxi_runtime.store.engine import reading, writing
from muxi_runtime.store.schema import keys, users
from muxi_runtime.store.times import from_text, utc_text

__all__ = ["KeyRecord", "KeyRefusedError", "KeyStore", "Refusal", "id_of"]

_TOKEN = re.compile(r"muxi_([a-z0-9]{12})_([0-9a-f]{64})")
_NAME_LENGTH = 200
_USE_GRAIN = timedelta(seconds=60)
_USE_WAIT_MS = 20
_UNKNOWN_DIGEST = "0" * 64
_KEY_AND_USER = (
    select(keys, users.c.role, users.c.groups, users.c.state).join(users).where(keys.c.id == bindparam("wanted"))
)


class Refusal(StrEnum):
    """Why a key was refused: for the journal."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    # The name of a reason, no secret.
    WRONG_SECRET = "wrong-secret"  # noqa: S105  # nosec B105
    REVOKED = "revoked"
    EXPIRED = "expired"
    USER = "user-disabled"


class KeyRefusedError(IdentityError):
    """The key does not open anything.

    The message may be told to the caller: it tells an unknown key and a wrong secret the same way, and that a key is
    revoked or expired only to one who has its secret.

    Attributes:
        refusal: why, for the journal.
        key: the key's public id, where one could be read.
    """

    def __init__(self, message: str, *, refusal: StrEnum, key: str | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.refusal = refusal
        self.key = key


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a key; never its secret. Times are in UTC.

    Attributes:
        id: public, 12 characters.
        name: what it is for, in its owner's words.
        last_used_at: true to about a minute.
        scopes: what it may be used for; `None` is all that its user's role allows.
    """

    id: str
    user: str
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    scopes: frozenset[str] | None = None

    def state(self, now: datetime | None = None) -> str:
        """`active`, `revoked` or `expired`."""
        if self.revoked_at is not None:
            return "revoked"
        expired = self.expires_at is not None and self.expires_at <= (now or datetime.now(UTC))
        return "expired" if expired else "active"


class KeyStore:
    """The keys of one installation. Blocking, and safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.users = UserStore(engine)

    def create(
        self, user: str, *, name: str = "", expires_at: datetime | None = None, scopes: Collection[str] | None = None
    ) -> tuple[KeyRecord, str]:
        """Make a key, and the user where it is new. The token is returned here and never again.

        Raises:
            ValueError: not a user's name, a name too long, an expiry that is past or without a time zone, or no scope.
            IdentityError: the user was removed.
        """
        check_user(user)
        allowed = None if scopes is None else parse_scopes(scopes)
        now = datetime.now(UTC)
        _check_new(name, expires_at, now)
        key, secret = _new_id(), secrets.token_hex(32)
        record = KeyRecord(id=key, user=user, name=name, created_at=now, expires_at=expires_at, scopes=allowed)
        with writing(self._engine) as connection:
            ensure_user(connection, user)
            row = {
                "id": key,
                "user": user,
                "name": name,
                "digest": _digest(secret),
                "created_at": utc_text(now),
                "expires_at": utc_text(expires_at) if expires_at else None,
                "scopes": None if allowed is None else " ".join(sorted(allowed)),
            }
            connection.execute(insert(keys).values(row))
        return record, f"muxi_{key}_{secret}"

    def revoke(self, key_id: str) -> KeyRecord:
        """Make the key useless, at once and in every process. One that was revoked stays as it was.

        Raises:
            IdentityError: there is no such key.
        """
        with writing(self._engine) as connection:
            this = keys.c.id == key_id
            connection.execute(update(keys).where(this, keys.c.revoked_at.is_(None)).values(revoked_at=utc_text()))
            row = connection.execute(select(keys).where(this)).one_or_none()
        if row is None:
            raise IdentityError(f"There is no key {key_id!r}.", remedy="See their ids with `muxi-runtime keys list`.")
        return _record(row)

    def list(self) -> tuple[KeyRecord, ...]:
        """Every key, revoked and expired ones too, oldest first."""
        with reading(self._engine) as connection:
            return tuple(map(_record, connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))))

    def authenticate(self, token: str) -> Principal:
        """Whose key it is.

        Raises:
            KeyRefusedError: nobody's, or not any more.
        """
        key, secret = _parts(token)
        with reading(self._engine) as connection:
            row = connection.execute(_KEY_AND_USER, {"wanted": key}).one_or_none()
        # Compared also when there is no such key, and in constant time: the clock tells nothing about ids.
        right = hmac.compare_digest(_digest(secret), row.digest if row else _UNKNOWN_DIGEST)
        if row is None or not right:
            refusal = Refusal.UNKNOWN if row is None else Refusal.WRONG_SECRET
            raise KeyRefusedError(
                "This API key is not known here.",
                refusal=refusal,
                key=key,
                remedy="Check that it was copied whole, or make one with `muxi-runtime keys create`.",
            )
        record = _record(row)
        _check_usable(record)
        _check_active(record, row.state)
        self._note_use(record)
        return Principal(
            user=record.user,
            key=record.id,
            role=Role(row.role),
            groups=groups_of(row.groups),
            scopes=record.scopes,
        )

    def known(self, user: str, key: str | None) -> Principal:
        """The caller of before, with role, groups and scopes as they are now: for what outlived the runtime.

        Nothing is checked. A user who is not known here, as one of tokens, is a mere user.
        """
        if key is None and user == LOCAL_USER:
            return LOCAL
        found = self.users.find(user)
        with reading(self._engine) as connection:
            scopes = connection.execute(select(keys.c.scopes).where(keys.c.id == key)).scalar()
        return Principal(
            user=user,
            key=key,
            role=found.role if found else Role.USER,
            groups=found.groups if found else frozenset(),
            scopes=None if scopes is None else frozenset(scopes.split()),
        )

    def _note_use(self, record: KeyRecord) -> None:
        """Write down the use, at most once a minute, and only if the database is free now."""
        now = datetime.now(UTC)
        if record.last_used_at is not None and now - record.last_used_at < _USE_GRAIN:
            return
        # A good key is not refused because another process holds the database: the next request notes it.
        with suppress(OperationalError), writing(self._engine, wait_ms=_USE_WAIT_MS) as connection:
            connection.execute(update(keys).where(keys.c.id == record.id).values(last_used_at=utc_text(now)))


def _digest(secret: str) -> str:
    # A plain hash is right for 256 random bits: there is nothing to guess, so nothing that a slow or salted hash
    # would slow down. (It would be wrong for a password.)
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _new_id() -> str:
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(12))


def id_of(token: str) -> str | None:
    """The public id in a token; `None` in what is none."""
    found = _TOKEN.fullmatch(token)
    return found[1] if found is not None else None


def _parts(token: str) -> tuple[str, str]:
    if not token:
        raise KeyRefusedError(
            "No API key was given.",
            refusal=Refusal.MISSING,
            remedy="Make one with `muxi-runtime keys create`.",
        )
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise KeyRefusedError(
            "This is no API key: one looks like muxi_<id>_<secret>.",
            refusal=Refusal.MALFORMED,
            remedy="Check that it was copied whole.",
        )
    return found[1], found[2]


def _check_new(name: str, expires_at: datetime | None, now: datetime) -> None:
    if len(name) > _NAME_LENGTH:
        raise ValueError(f"A key's name has at most {_NAME_LENGTH} characters.")
    if expires_at is None:
        return
    if expires_at.tzinfo is None:
        raise ValueError("A key's expiry needs a time zone.")
    if expires_at <= now:
        raise ValueError("A key's expiry must lie in the future.")


def _check_usable(record: KeyRecord) -> None:
    state = record.state()
    if state == "active":
        return
    raise KeyRefusedError(
        f"The API key {record.id} is {state}.",
        refusal=Refusal(state),
        key=record.id,
        remedy="Make a new one with `muxi-runtime keys create`.",
    )


def _check_active(record: KeyRecord, state: str) -> None:
    if state != "active":
        raise KeyRefusedError(
            f"The user {record.user} is {state}.",
            refusal=Refusal.USER,
            key=record.id,
            remedy="An owner can undo that with `muxi-runtime users enable`." if state == "disabled" else "",
        )


def _record(row: Row[tuple[object, ...]]) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        user=row.user,
        name=row.name,
        created_at=from_text(row.created_at),
        expires_at=from_text(row.expires_at) if row.expires_at else None,
        revoked_at=from_text(row.revoked_at) if row.revoked_at else None,
        last_used_at=from_text(row.last_used_at) if row.last_used_at else None,
        scopes=None if row.scopes is None else frozenset(row.scopes.split()),
    )
