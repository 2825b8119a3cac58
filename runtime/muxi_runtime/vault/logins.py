"""Logins at servers elsewhere: one document for each server and user, encrypted as secrets are, and no secret's name.

Above: `gateway.logins`, which knows what is in a document, and the commands that forget one. Below: one table, and the
vault's key. A document is bound to its server and user: moved to another's row it does not decrypt.
Calls block for about a millisecond.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, RowMapping, and_, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from muxi_runtime.errors import VaultError
from muxi_runtime.store.engine import reading, writing
from muxi_runtime.store.schema import server_logins
from muxi_runtime.store.times import utc_text
from muxi_runtime.vault.cipher import decrypt, encrypt
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.sealed_rows import key_of, label_of, writing_key

__all__ = ["LoginStore"]


class LoginStore:
    """See the module."""

    def __init__(self, engine: Engine, key_file: KeyFile) -> None:
        self._engine = engine
        self._key_file = key_file

    def get(self, server: str, user: str) -> str | None:
        """The document; `None` where there is none.

        Raises:
            VaultError: it cannot be read.
        """
        row = self._row(server, user)
        keys = self._key_file.read()
        if row is not None and row["key_id"] not in {key.id for key in keys}:
            # As in `Vault.value`: if its key was retired in between, the row is of a newer one now.
            row, keys = self._row(server, user), self._key_file.read()
        if row is None:
            return None
        try:
            return decrypt(key_of(keys, row["key_id"]), label_of(server_logins, row), row["sealed"])
        except VaultError as error:
            raise VaultError(
                f"The login of {user} at {server} cannot be decrypted: it is damaged, or another key was put in place.",
                remedy=f"Restore the vault's key file, or `muxi-runtime servers logout {server}` and log in anew.",
            ) from error

    def _row(self, server: str, user: str) -> RowMapping | None:
        try:
            with reading(self._engine) as connection:
                query = select(server_logins).where(_is(server, user))
                return connection.execute(query).mappings().one_or_none()
        except SQLAlchemyError as error:
            raise VaultError(f"The logins cannot be read ({type(error).__name__}).") from error

    def put(self, server: str, user: str, document: str, *, instead_of: str | None = None) -> bool:
        """Keep it in place of the one before; whether that was done.

        Args:
            server: where.
            user: whose.
            document: what is kept.
            instead_of: what has to be there still. What was taken out meanwhile stays out, what came in stays in.

        Raises:
            VaultError: it cannot be written, or what is there not be read.
        """
        row = {"server": server, "user": user}
        now = utc_text(datetime.now(UTC))
        try:
            with writing(self._engine) as connection:
                known = connection.execute(select(server_logins).where(_is(server, user))).mappings().one_or_none()
                if instead_of is not None and (known is None or self._opened(known) != instead_of):
                    return False
                created_at = known["created_at"] if known is not None else now
                key = writing_key(connection, self._key_file)
                sealed = encrypt(key, label_of(server_logins, row), document)
                connection.execute(delete(server_logins).where(_is(server, user)))
                fields = {**row, "key_id": key.id, "sealed": sealed, "created_at": created_at, "set_at": now}
                connection.execute(insert(server_logins).values(fields))
        except SQLAlchemyError as error:
            raise VaultError(f"The login cannot be kept ({type(error).__name__}).") from error
        return True

    def _opened(self, row: RowMapping) -> str:
        """Compared as it was written: under another key of the vault the same document is sealed differently."""
        return decrypt(key_of(self._key_file.read(), row["key_id"]), label_of(server_logins, row), row["sealed"])

    def forget(self, server: str, user: str) -> bool:
        """Remove it; whether there was one."""
        with writing(self._engine) as connection:
            return bool(connection.execute(delete(server_logins).where(_is(server, user))).rowcount)

    def users(self, server: str) -> list[str]:
        """Who has one at a server, the oldest first.

        Raises:
            VaultError: the table cannot be read.
        """
        oldest = (server_logins.c.created_at, server_logins.c.user)
        query = select(server_logins.c.user).where(server_logins.c.server == server).order_by(*oldest)
        try:
            with reading(self._engine) as connection:
                return list(connection.execute(query).scalars())
        except SQLAlchemyError as error:
            raise VaultError(f"The logins cannot be read ({type(error).__name__}).") from error

    def servers(self, user: str) -> list[str]:
        """Where a user has one."""
        with reading(self._engine) as connection:
            query = select(server_logins.c.server).where(server_logins.c.user == user)
            return list(connection.execute(query).scalars())


def _is(server: str, user: str) -> ColumnElement[bool]:
    return and_(server_logins.c.server == server, server_logins.c.user == user)
