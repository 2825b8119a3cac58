"""Bring a database to this program's version: run at each start, in one transaction, by code."""

from __future__ import annotations

from importlib.resources import as_file, files

from sqlalchemy import Connection, Engine, inspect, text

from muxi_runtime.errors import SetupError

__all__ = ["REVISION", "current_revision", "migrate"]

REVISION = "0010"
"""The newest revision in `migrations/versions`; a test holds the two together."""


def migrate(engine: Engine) -> None:
    """Migrate the database to `REVISION`. Does nothing, quickly, when it is there already.

    The transaction holds the write lock, so of several processes that start at once one migrates and the
    others find the work done; one that dies in the middle leaves the database as it was.

    Raises:
        SetupError: the database was written by a newer version of this program.
        sqlalchemy.exc.DatabaseError: it is damaged, locked or no database.
    """
    with engine.connect() as connection:
        if current_revision(connection) == REVISION:
            return
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        found = current_revision(connection)
        if found == REVISION:
            return
        _refuse_unknown(found, connection)
        _upgrade(connection)


def current_revision(connection: Connection) -> str | None:
    """The revision of the database, `None` for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _refuse_unknown(found: str | None, connection: Connection) -> None:
    # Revisions are numbered upwards, so that an older program can tell a newer database.
    if found is not None and found > REVISION:
        raise SetupError(
            f"The database {connection.engine.url.database} is of version {found}, newer than this program's"
            f" ({REVISION}). Nothing was changed.",
            step="database",
            remedy="Start the newer muxi-runtime, or point MUXI_HOME at another folder.",
        )


def _upgrade(connection: Connection) -> None:
    # Imported here: alembic takes a third of a second and is needed once per version.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    with as_file(files("muxi_runtime.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)
