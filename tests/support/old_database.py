"""A database as an earlier version of the program left it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

import muxi_runtime.store as package
from muxi_runtime.store.engine import database_path
from muxi_runtime.store.sqlite import create_private, sqlite_engine


def database_of(home: Path, revision: str) -> Engine:
    """Made by the migrations up to `revision`; the caller fills and disposes of it."""
    home.mkdir(parents=True, exist_ok=True)
    create_private(database_path(home))
    engine = sqlite_engine(database_path(home))
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", f"{package.__path__[0]}/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine
