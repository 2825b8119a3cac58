"""Everything that only SQLite needs. Another database gets a file of its own beside this one."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["BUSY_MILLISECONDS", "connect", "create_private", "sqlite_engine"]

BUSY_MILLISECONDS = 10_000
"""How long a writer waits for another process's transaction before it fails."""


def create_private(path: Path) -> None:
    """Make sure that the file exists and that only its owner may read it.

    SQLite gives the files beside it (`-wal`, `-shm`) the same mode.

    Raises:
        OSError: it cannot be created or is not ours.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def connect(path: Path, *, sync: Literal["normal", "full"]) -> sqlite3.Connection:
    """A plain connection in WAL mode for one writer thread; transactions are begun by hand.

    `normal` survives the death of the process, `full` also that of the machine.

    Raises:
        sqlite3.Error: the file is no database or cannot be opened.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    _configure(connection, sync)
    return connection


def sqlite_engine(path: Path) -> Engine:
    """An engine on the file. With the option `immediate=True` a transaction takes the write lock first.

    Without it, a transaction that reads before it writes fails when another process wrote in between.
    """
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The driver's own transaction control leaves DDL and the first SELECT outside of transactions.
    connection.isolation_level = None
    _configure(connection, "normal")


def _on_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("immediate", False):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {options.get('wait_ms', BUSY_MILLISECONDS):d}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _configure(connection: sqlite3.Connection | DBAPIConnection, sync: Literal["normal", "full"]) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS:d}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute(f"PRAGMA synchronous = {'FULL' if sync == 'full' else 'NORMAL'}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
