"""What is encrypted under the vault's key, table by table: which key to write with, and all of it under a new one.

Above: `store`, the secrets, and `logins`. A key is made when the first value is written; one that is missing while
there are values is never made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, select, update

from muxi_runtime.errors import VaultError
from muxi_runtime.store.schema import secrets, server_logins
from muxi_runtime.vault.cipher import decrypt, encrypt
from muxi_runtime.vault.key_file import Key, KeyFile, new_key

__all__ = ["key_of", "label_of", "reseal", "writing_key"]

TABLES = (secrets, server_logins)


def label_of(table: Table, row: Mapping[Any, Any]) -> str:
    """What a value is bound to. Names of secrets have no spaces, so that neither can stand for the other."""
    return str(row["name"]) if table is secrets else f"login {row['server']} {row['user']}"


def writing_key(connection: Connection, key_file: KeyFile) -> Key:
    """The key to write with. Asked for inside a transaction that writes: two commands do not make two keys.

    Raises:
        VaultError: it is gone, and there is something that needs it.
    """
    keys = key_file.read()
    if keys:
        return keys[0]
    if any(connection.execute(select(table.c.key_id).limit(1)).first() is not None for table in TABLES):
        raise VaultError(
            f"The key of the vault, {key_file.path}, is gone, and there are secrets that need it.",
            remedy="Restore it from a backup. If it is lost, remove the secrets and set them anew.",
        )
    key = new_key()
    key_file.write((key,))
    return key


def key_of(keys: tuple[Key, ...], key_id: str) -> Key:
    """The key of that id.

    Raises:
        VaultError: it is not there.
    """
    for key in keys:
        if key.id == key_id:
            return key
    raise VaultError(
        "The key of the vault is not the one that the secrets were encrypted with, or it is gone.",
        remedy="Restore the key file that belongs to this database, or set the secrets anew.",
    )


def reseal(connection: Connection, key_file: KeyFile) -> tuple[tuple[Key, ...], int]:
    """Encrypt every value under a new key, which the file has from now on beside the old ones: those, and how many.

    Raises:
        VaultError: a value cannot be read, or the file not be written.
    """
    old, fresh = key_file.read(), new_key()
    plain = [
        (table, row, decrypt(key_of(old, row["key_id"]), label_of(table, row), row["sealed"]))
        for table in TABLES
        for row in connection.execute(select(table)).mappings().all()
    ]
    key_file.write((fresh, *old))
    for table, row, value in plain:
        fields = {"key_id": fresh.id, "sealed": encrypt(fresh, label_of(table, row), value)}
        is_it = [column == row[column.name] for column in table.primary_key.columns]
        connection.execute(update(table).where(*is_it).values(fields))
    return old, sum(table is secrets for table, _, _ in plain)
