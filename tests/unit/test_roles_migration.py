"""Keys from before there were roles."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

import muxi_runtime.store as package
from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.identity.roles import Role
from muxi_runtime.identity.users import UserStore
from muxi_runtime.store.engine import database_path, open_store, writing
from muxi_runtime.store.sqlite import create_private, sqlite_engine


def database_before_roles(home) -> Engine:
    home.mkdir()
    create_private(database_path(home))
    engine = sqlite_engine(database_path(home))
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", f"{package.__path__[0]}/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    return engine


@pytest.mark.parametrize(
    ("names", "owners"),
    [(["local"], ["local"]), (["ada"], ["ada", "local"]), (["ada", "bob"], ["local"]), (["local", "ada"], ["local"])],
)
def test_the_machine_s_operator_is_an_owner_and_every_key_keeps_working(tmp_path, names, owners):
    old = database_before_roles(tmp_path / "home")
    at = "2026-01-01T00:00:00.000000Z"
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of "test"
    with writing(old) as connection:
        for number, name in enumerate(names):
            connection.exec_driver_sql(f"INSERT INTO users VALUES ('{name}', '{at}')")  # noqa: S608
            row = f"('key{number}', '{name}', '', '{digest}', '{at}', NULL, NULL, NULL)"
            connection.exec_driver_sql(f"INSERT INTO keys VALUES {row}")  # noqa: S608
    old.dispose()
    engine = open_store(tmp_path / "home")
    users = {user.name: user for user in UserStore(engine).list()}
    assert sorted(name for name, user in users.items() if user.role is Role.OWNER) == owners
    assert {user.role for name, user in users.items() if name not in owners} <= {Role.USER}
    assert {user.state for user in users.values()} == {"active"}
    assert [(key.state(), key.scopes) for key in KeyStore(engine).list()] == [("active", None)] * len(names)
    engine.dispose()
