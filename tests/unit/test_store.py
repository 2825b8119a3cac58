from __future__ import annotations

import sqlite3
import stat

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from old_database import database_of
from sqlalchemy import inspect

import muxi_runtime.store as package
from muxi_runtime.errors import SetupError
from muxi_runtime.store.engine import database_path, open_store, reading, writing
from muxi_runtime.store.installation import installation_id
from muxi_runtime.store.migrate import REVISION
from muxi_runtime.store.schema import metadata


@pytest.fixture
def engine(tmp_path):
    engine = open_store(tmp_path / "home")
    yield engine
    engine.dispose()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.promise("state-is-private")
def test_the_folder_and_the_database_are_only_their_owners(tmp_path, engine):
    home = tmp_path / "home"
    assert mode(home) == 0o700
    with reading(engine):
        files = sorted(path.name for path in home.iterdir())
        assert files == ["runtime.db", "runtime.db-shm", "runtime.db-wal"]
        assert {mode(path) for path in home.iterdir()} == {0o600}


@pytest.mark.promise("state-is-private")
def test_a_database_that_others_could_read_is_closed_to_them(tmp_path):
    open_store(tmp_path).dispose()
    database_path(tmp_path).chmod(0o644)
    open_store(tmp_path).dispose()
    assert mode(database_path(tmp_path)) == 0o600


def test_the_migrations_make_the_tables_that_queries_name(engine):
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_the_newest_revision_is_the_one_that_the_program_asks_for():
    config = Config()
    config.set_main_option("script_location", f"{package.__path__[0]}/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


@pytest.mark.usefixtures("engine")
def test_opening_twice_keeps_what_is_there(tmp_path):
    with sqlite3.connect(database_path(tmp_path / "home")) as connection:
        connection.execute("INSERT INTO users (name, created_at) VALUES ('ada', '2026-01-01T00:00:00.000000Z')")
    connection.close()
    again = open_store(tmp_path / "home")
    with reading(again) as connection:
        assert connection.exec_driver_sql("SELECT name FROM users").scalars().all() == ["ada"]
    again.dispose()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path, engine):
    with sqlite3.connect(database_path(tmp_path / "home")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SetupError, match="9999, newer than this program") as caught:
        open_store(tmp_path / "home")
    assert caught.value.step == "database"
    assert "newer muxi-runtime" in caught.value.remedy
    assert inspect(engine).get_table_names()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    database_path(tmp_path).write_text("this is a letter, not a database" * 100)
    with pytest.raises(SetupError, match="not a database"):
        open_store(tmp_path)


def test_a_folder_that_cannot_be_made_is_said_with_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="MUXI_HOME"):
        open_store(tmp_path / "file" / "home")


def test_a_symlink_in_place_of_the_database_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "home").mkdir()
    database_path(tmp_path / "home").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SetupError, match="cannot be used"):
        open_store(tmp_path / "home")


def test_the_installation_id_is_random_and_stays(tmp_path):
    first = installation_id(tmp_path / "a")
    assert installation_id(tmp_path / "a") == first
    assert installation_id(tmp_path / "b") != first
    assert len(first) == 16
    assert mode(tmp_path / "a" / "installation") == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["installation"]


@pytest.mark.parametrize("text", ["", "not-an-id", "0123456789abcdefg", "ä" * 16])
def test_a_damaged_installation_id_is_refused(tmp_path, text):
    (tmp_path / "installation").write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match="installation"):
        installation_id(tmp_path)


def test_pins_of_before_there_were_kinds_are_of_tools(tmp_path):
    old = database_of(tmp_path / "home", "0003")
    with writing(old) as connection:
        connection.exec_driver_sql("INSERT INTO pins VALUES ('notes', 'read', 'accepted', 'p', 'i', '{}', 't')")
    old.dispose()
    again = open_store(tmp_path / "home")
    with reading(again) as connection:
        assert connection.exec_driver_sql("SELECT server, kind, tool, pin FROM pins").all() == [
            ("notes", "tool", "read", "p")
        ]
    again.dispose()
