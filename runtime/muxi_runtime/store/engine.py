"""Open the runtime's database: private, current, ready. Above it: keys, the journal, later tasks and pins.

engine = open_store(home)          # makes the folder and the file, runs the migrations
with reading(engine) as connection: ...
with writing(engine) as connection: ...
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from muxi_runtime.errors import SetupError
from muxi_runtime.store.migrate import migrate
from muxi_runtime.store.sqlite import BUSY_MILLISECONDS, create_private, sqlite_engine

__all__ = ["DATABASE", "database_path", "open_store", "reading", "writing"]

DATABASE = "runtime.db"


def database_path(home: Path) -> Path:
    """Where the database of an installation lies."""
    return home / DATABASE


def open_store(home: Path) -> Engine:
    """The database of the installation in `home`, made or brought up to date where needed.

    Safe to call from several processes at once: one migrates, the others wait. Blocks: call it in a thread.
    The caller disposes of the engine.

    Raises:
        SetupError: no folder or file can be made there, it is no database, or it is of a newer version.
    """
    path = database_path(home)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        create_private(path)
    except OSError as error:
        raise SetupError(
            f"The state folder {home} cannot be used: {error.strerror}.",
            step="database",
            remedy="Set MUXI_HOME to a folder that you may write to.",
        ) from error
    engine = sqlite_engine(path)
    try:
        migrate(engine)
    except (DatabaseError, sqlite3.DatabaseError) as error:
        engine.dispose()
        raise _unusable(path, error) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one consistent state."""
    with engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine, *, wait_ms: int = BUSY_MILLISECONDS) -> Iterator[Connection]:
    """A transaction that holds the write lock from its start; an exception rolls it back.

    Raises:
        sqlalchemy.exc.OperationalError: another process held the lock for longer than `wait_ms`.
    """
    options = {"immediate": True, "wait_ms": wait_ms}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def _unusable(path: Path, error: Exception) -> SetupError:
    cause = getattr(error, "orig", None) or error
    return SetupError(
        f"The database {path} cannot be used: {cause}.",
        step="database",
        remedy="If another process holds it, wait; if it is damaged, restore a backup.",
    )
