"""Keys from before there were roles."""

from __future__ import annotations

import pytest
from old_database import database_of

from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.identity.roles import Role
from muxi_runtime.identity.users import UserStore
from muxi_runtime.store.engine import open_store, writing


@pytest.mark.parametrize(
    ("names", "owners"),
    [(["local"], ["local"]), (["ada"], ["ada", "local"]), (["ada", "bob"], ["local"]), (["local", "ada"], ["local"])],
)
def test_the_machine_s_operator_is_an_owner_and_every_key_keeps_working(tmp_path, names, owners):
    old = database_of(tmp_path / "home", "0003")
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
