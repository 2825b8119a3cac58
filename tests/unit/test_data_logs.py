"""What programs leave beside a database: logs with rows that are not in it, journals of changes that did not end."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from muxi_servers.data.logs import check_no_log
from muxi_servers.data.sources import Sources
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import Workspace


def half_changed(folder: Path) -> Path:
    """A database as a program leaves it that is killed in the middle of a change: a part of it is on disk."""
    live = folder / "live.db"
    with sqlite3.connect(live) as shop:
        shop.execute("CREATE TABLE t (a)")
        shop.executemany("INSERT INTO t VALUES (?)", [("x" * 1_000,)] * 500)
    shop.close()
    changing = sqlite3.connect(live, isolation_level=None)
    changing.execute("PRAGMA cache_size = 5")
    changing.execute("BEGIN")
    changing.execute("UPDATE t SET a = 'half'")
    left = folder / "left.db"
    shutil.copyfile(live, left)
    shutil.copyfile(f"{live}-journal", f"{left}-journal")
    changing.execute("ROLLBACK")
    changing.close()
    return left


def test_a_write_ahead_log_is_refused_until_its_rows_are_in_the_database(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as shop:
        shop.execute("PRAGMA journal_mode = WAL")
        shop.execute("CREATE TABLE t (a)")
    (tmp_path / "link.db").symlink_to("shop.db")
    sources = Sources(Workspace(str(tmp_path)))
    for path in ("shop.db", "/workspace/shop.db", "link.db"):
        with pytest.raises(ToolError, match="wal_checkpoint"):
            sources.check_no_log(path)
    shop.close()
    sources.check_no_log("shop.db")


def test_a_change_that_was_not_ended_is_refused_and_its_journal_is_not_played_back(tmp_path: Path) -> None:
    left = half_changed(tmp_path)
    before = left.read_bytes(), Path(f"{left}-journal").read_bytes()
    with pytest.raises(ToolError, match="did not end"):
        Sources(Workspace(str(tmp_path))).check_no_log("left.db")
    assert (left.read_bytes(), Path(f"{left}-journal").read_bytes()) == before


def test_a_journal_that_ended_is_no_hindrance(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "kept.db") as shop:
        shop.execute("PRAGMA journal_mode = PERSIST")
        shop.execute("CREATE TABLE t (a)")
    shop.close()
    assert (tmp_path / "kept.db-journal").stat().st_size > 0
    check_no_log(Workspace(str(tmp_path)), "kept.db")


@pytest.mark.parametrize("ending", ["-wal", ".wal", "-journal"])
def test_a_link_or_a_folder_in_place_of_a_log_is_refused(tmp_path: Path, ending: str) -> None:
    workspace = Workspace(str(tmp_path))
    for make in (lambda path: path.symlink_to("/etc/passwd"), lambda path: path.mkdir()):
        name = f"x{len(list(tmp_path.iterdir()))}.db"
        (tmp_path / name).touch()
        make(tmp_path / f"{name}{ending}")
        with pytest.raises(ToolError):
            check_no_log(workspace, name)
