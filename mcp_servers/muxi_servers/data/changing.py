"""What `execute` does in processes of its own, one after the other.

`plan` reads the statements, sealed. `change` runs them, sealed too: a copy of the database and its log were opened for
writing before the seal, and nothing else can be. `settle` puts the log into that copy, which takes more than the seal
permits, and is given none of the caller's SQL. The server puts the copy in the database's place at the end.
"""

from __future__ import annotations

import os

from muxi_servers.data.sealing import seal
from muxi_servers.kit.apart import answer_apart
from muxi_servers.kit.workspace import OsErrors, Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.data.engine import Engine

__all__ = ["change", "change_sqlite", "plan", "settle"]


def plan() -> int:
    """`sql` in; out come `statements`, see `plan_changes`, and `sources`: the paths that they read."""
    return answer_apart(_plan)


def change() -> int:
    """Run `statements` on the database at `into`: see `_change`."""
    return answer_apart(_change)


def settle() -> int:
    """Have the database at `into` without a log."""
    return answer_apart(_settle)


def change_sqlite() -> int:
    """Run `sql` on a SQLite database: see `sqlite_changing.py`."""
    from muxi_servers.data.sqlite_changing import change_file  # noqa: PLC0415 - SQLite is for this one only

    return answer_apart(change_file)


def _plan(request: dict[str, Any]) -> dict[str, Any]:
    seal()
    from muxi_servers.data.changes import plan_changes  # noqa: PLC0415 - DuckDB, under the seal
    from muxi_servers.data.engine import connect  # noqa: PLC0415 - as above
    from muxi_servers.data.sources import Sources  # noqa: PLC0415 - as above

    sources = Sources(Workspace(os.getcwd()))
    statements = plan_changes(connect(), request["sql"], sources)
    return {"statements": statements, "sources": [source.path for source in sources.all()]}


def _change(request: dict[str, Any]) -> dict[str, Any]:
    """`sources` are the paths to read, `outs` where the rows of each COPY go, in their order.

    Out come `changed`, the rows that statements counted, and `copies`: rows and columns of each COPY.
    """
    from muxi_servers.data.engine import Engine  # noqa: PLC0415 - DuckDB is for this process only
    from muxi_servers.data.sources import Sources  # noqa: PLC0415 - as above

    workspace = Workspace(os.getcwd())
    sources = Sources(workspace)
    for path in request["sources"]:
        sources.get(path)
    outs = [_open_out(workspace, path) for path in request["outs"]]
    engine = Engine(sources)
    engine.change(_real_place(workspace, request["into"], fresh=request["fresh"]) if request["into"] else "")
    seal()
    changed = 0
    copies: list[dict[str, Any]] = []
    for statement in request["statements"]:
        if statement["file"]:
            copies.append(_copy(engine, statement, outs[len(copies)]))
        else:
            changed += engine.run(statement["sql"])
    if request["into"]:
        engine.check_all_lasts()
    engine.close()
    return {"changed": changed, "copies": copies}


def _copy(engine: Engine, statement: dict[str, str], out: int) -> dict[str, Any]:
    from muxi_servers.data.exporting import write_rows  # noqa: PLC0415 - with the rest

    return write_rows(engine, engine.ready(statement["sql"]), statement["format"], out)


def _settle(request: dict[str, Any]) -> dict[str, Any]:
    from muxi_servers.data.engine import Engine  # noqa: PLC0415 - as above
    from muxi_servers.data.sources import Sources  # noqa: PLC0415 - as above

    workspace = Workspace(os.getcwd())
    engine = Engine(Sources(workspace))
    engine.change(_real_place(workspace, request["into"], fresh=False))
    engine.execute("CHECKPOINT")
    engine.close()
    return {}


def _open_out(workspace: Workspace, path: str) -> int:
    with workspace.locate(path, follow=False) as place, OsErrors(path):
        return os.open(place.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.folder)


def _real_place(workspace: Workspace, path: str, *, fresh: bool) -> str:
    """The path by which DuckDB opens the file. A fresh one may not be there: an empty file is no database to it."""
    with workspace.locate(path, follow=False) as place, OsErrors(path):
        if fresh:
            os.unlink(place.name, dir_fd=place.folder)
        return f"{os.readlink(f'/proc/self/fd/{place.folder}')}/{place.name}"
