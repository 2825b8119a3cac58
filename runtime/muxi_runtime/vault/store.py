"""The vault: named secrets, their values encrypted in the database.

Above: `gateway.secret_gate`, which takes a value when a connection may have it, and the command `secrets`. Below: one
table, and the key file beside the database. Values are not kept in memory here and are in no text form of anything.
Calls block for about a millisecond.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from muxi_runtime.errors import UnknownSecretError, VaultError
from muxi_runtime.store.engine import reading, writing
from muxi_runtime.store.schema import secrets
from muxi_runtime.store.times import from_text, utc_text
from muxi_runtime.vault.cipher import decrypt, encrypt
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.sealed_rows import key_of, reseal, writing_key

__all__ = ["SecretRecord", "Vault", "check_name", "check_value"]

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
"""Of secrets: they become names of environment variables."""
SHORTEST, LONGEST = 8, 4096
"""Characters. A shorter value could not be told from other text in what a host sends back."""


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """What may be known of a secret without its value."""

    name: str
    created_at: datetime
    set_at: datetime


def check_name(name: str) -> None:
    """Whether a secret may be called so.

    Raises:
        ValueError: why not.
    """
    if not NAME.fullmatch(name):
        raise ValueError("A secret's name has capital letters, digits and _, begins with a letter, and has 64 at most.")


def check_value(value: str) -> None:
    """Whether it can be put into a header as it is.

    Raises:
        ValueError: why not; the message is a sentence without the value.
    """
    if not SHORTEST <= len(value) <= LONGEST:
        raise ValueError(f"A value has {SHORTEST} to {LONGEST} characters; this one has {len(value)}.")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in value):
        raise ValueError("A value is one line without control characters.")
    if value != value.strip():
        raise ValueError("A value neither begins nor ends with a space.")


class Vault:
    """See the module. A key is made when the first value is set."""

    def __init__(self, engine: Engine, key_file: KeyFile) -> None:
        self._engine = engine
        self._key_file = key_file

    def list(self) -> list[SecretRecord]:
        """Every secret, by name.

        Raises:
            VaultError: the database cannot be read.
        """
        try:
            with reading(self._engine) as connection:
                rows = connection.execute(select(secrets).order_by(secrets.c.name)).mappings().all()
        except SQLAlchemyError as error:
            raise _unreadable(error) from error
        return [SecretRecord(row["name"], from_text(row["created_at"]), from_text(row["set_at"])) for row in rows]

    def require(self, name: str) -> None:
        """See that it is set.

        Raises:
            UnknownSecretError: it is not.
            VaultError: the database cannot be read.
        """
        if name not in {record.name for record in self.list()}:
            raise _unknown(name)

    def value(self, name: str) -> str:
        """What it is now.

        Raises:
            UnknownSecretError: it is not set.
            VaultError: it cannot be read.
        """
        # The keys are read after the row: a key that a rotation retires stays in the file until no row needs it.
        # If one retired in between, the row is of a newer key the second time.
        return self._value(name, is_last_try=False) or self._value(name, is_last_try=True)

    def set(self, name: str, value: str) -> SecretRecord:
        """Set or replace it.

        Raises:
            ValueError: the name or the value is none.
            VaultError: it cannot be written.
        """
        check_name(name)
        check_value(value)
        return self._put(name, value, must_exist=False)

    def replace(self, name: str, value: str) -> SecretRecord:
        """Give it a new value.

        Raises:
            UnknownSecretError: it is not set.
            ValueError | VaultError: as `set`.
        """
        check_value(value)
        return self._put(name, value, must_exist=True)

    def remove(self, name: str) -> None:
        """Forget it.

        Raises:
            UnknownSecretError: it is not set.
        """
        with writing(self._engine) as connection:
            if not connection.execute(delete(secrets).where(secrets.c.name == name)).rowcount:
                raise _unknown(name)

    def rotate_key(self) -> int:
        """Encrypt every value under a new key, logins too, and throw the old one away; how many secrets.

        A crash leaves a file with both keys, with which everything can be read.

        Raises:
            VaultError: a value cannot be read, or the file not be written; nothing is changed then.
        """
        with writing(self._engine) as connection:
            old, count = reseal(connection, self._key_file)
        with writing(self._engine):
            # Not before the values are durable. Whoever sets one meanwhile has the fresh key already.
            gone = {key.id for key in old}
            self._key_file.write([key for key in self._key_file.read() if key.id not in gone])
        return count

    def _value(self, name: str, *, is_last_try: bool) -> str:
        try:
            with reading(self._engine) as connection:
                row = connection.execute(select(secrets).where(secrets.c.name == name)).mappings().one_or_none()
        except SQLAlchemyError as error:
            raise _unreadable(error) from error
        if row is None:
            raise _unknown(name)
        keys = self._key_file.read()
        if not is_last_try and row["key_id"] not in {key.id for key in keys}:
            return ""
        return decrypt(key_of(keys, row["key_id"]), name, row["sealed"])

    def _put(self, name: str, value: str, *, must_exist: bool) -> SecretRecord:
        now = utc_text(datetime.now(UTC))
        with writing(self._engine) as connection:
            found = connection.execute(select(secrets).where(secrets.c.name == name)).mappings().one_or_none()
            if must_exist and found is None:
                raise _unknown(name)
            key = writing_key(connection, self._key_file)
            created_at = found["created_at"] if found else now
            connection.execute(delete(secrets).where(secrets.c.name == name))
            row = {"name": name, "key_id": key.id, "sealed": encrypt(key, name, value)}
            connection.execute(insert(secrets).values(**row, created_at=created_at, set_at=now))
        return SecretRecord(name, from_text(created_at), from_text(now))


def _unknown(name: str) -> UnknownSecretError:
    return UnknownSecretError(f"The secret {name} is not set.", remedy=f"Set it: `muxi-runtime secrets set {name}`.")


def _unreadable(error: Exception) -> VaultError:
    return VaultError(
        f"The vault cannot be read ({type(error).__name__}).", remedy="See that the database is there and whole."
    )
