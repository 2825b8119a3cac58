"""What the `data` server's tools do with the caller's SQL and files, in a process of its own, which seals itself."""

from __future__ import annotations

import os

from muxi_servers.data.sealing import seal
from muxi_servers.kit.apart import answer_apart
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import OsErrors, Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.data.engine import Engine

__all__ = ["main"]

_MAX_CHARACTERS = 400_000
_MAX_POINTS = 50_000
_MAX_DESCRIBED = 30
_MAX_TABLES = 200


def main() -> int:
    """Do what standard input asks for; the working folder is the workspace."""
    return answer_apart(_work)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    workspace = Workspace(os.getcwd())
    out = _open_out(workspace, request["into"]) if "into" in request else -1
    if request["operation"] == "chart":
        from muxi_servers.data.fonts import load_fonts  # noqa: PLC0415 - Matplotlib is for this tool only

        load_fonts()
    seal()
    # Only now: what these import, and what they read, is under the seal.
    from muxi_servers.data.engine import Engine  # noqa: PLC0415 - 65 MiB, see above
    from muxi_servers.data.sources import Sources  # noqa: PLC0415 - as above

    sources = Sources(workspace)
    engine = Engine(sources, request["database"])
    if request["operation"] == "schema":
        return _schema(engine, sources, request)
    if request["path"] and request["sql"]:
        raise ToolError("Give sql or path, not both.")
    if not request["path"] and not request["sql"]:
        raise ToolError("Give sql, or the path of a data file.")
    sql = engine.ask(request["sql"]) if request["sql"] else engine.look_at(request["path"])
    return _OPERATIONS[request["operation"]](engine, sql, request, out)


def _open_out(workspace: Workspace, path: str) -> int:
    with workspace.locate(path, follow=False) as place, OsErrors(path):
        return os.open(place.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.folder)


def _query(engine: Engine, sql: str, request: dict[str, Any], _: int) -> dict[str, Any]:
    from muxi_servers.data.values import cut_cell  # noqa: PLC0415 - with the rest

    limit = int(request["max_rows"])
    result = engine.execute(sql)
    columns = [{"name": part[0], "type": str(part[1])} for part in result.description]
    rows: list[list[object]] = []
    room = _MAX_CHARACTERS
    cut = 0
    fetched = result.fetchmany(limit + 1)
    for row in fetched[:limit]:
        cells = [cut_cell(value) for value in row]
        rows.append([value for value, _ in cells])
        cut += sum(shortened for _, shortened in cells)
        room -= sum(len(str(value)) for value in rows[-1])
        if room < 0:
            break
    more = len(rows) < len(fetched)
    total = engine.count(sql) if more else len(rows)
    return {
        "columns": columns,
        "rows": rows,
        "total_rows": total,
        "cut_cells": cut,
        "complete": not more and not cut,
    }


def _profile(engine: Engine, sql: str, request: dict[str, Any], _: int) -> dict[str, Any]:
    from muxi_servers.data.profiling import profile  # noqa: PLC0415 - with the rest

    return profile(engine, sql, int(request["top"]))


def _export(engine: Engine, sql: str, request: dict[str, Any], out: int) -> dict[str, Any]:
    from muxi_servers.data.exporting import write_rows  # noqa: PLC0415 - with the rest

    return write_rows(engine, sql, request["format"], out)


def _chart(engine: Engine, sql: str, request: dict[str, Any], _: int) -> dict[str, Any]:
    from muxi_servers.data.charts import draw  # noqa: PLC0415 - with the rest

    result = engine.execute(sql)
    names = [part[0] for part in result.description]
    rows = result.fetchmany(_MAX_POINTS + 1)
    if len(rows) > _MAX_POINTS:
        raise ToolError(f"There are more than {_MAX_POINTS} rows: group, sample or limit them in sql.")
    return draw(names, rows, request)


def _schema(engine: Engine, sources: Any, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - Sources
    if request["database"]:
        engine.lock()
        tables = _database_tables(engine)
        return {"tables": tables[:_MAX_TABLES], "complete": len(tables) <= _MAX_TABLES}
    listed, complete = ([(request["path"], 0)], True) if request["path"] else sources.listed()
    paths = [path for path, _ in listed if sources.is_table(path)][:_MAX_DESCRIBED]
    for path in paths:
        sources.find(path)
    engine.lock()
    found = []
    for path, size in listed:
        columns, problem = _describe(engine, path) if path in paths else ([], None)
        found.append({"name": path, "size_bytes": size or None, "columns": columns, "problem": problem})
    if request["path"] and found[0]["problem"]:
        raise ToolError(found[0]["problem"])
    return {"tables": found, "complete": complete and len(paths) == sum(sources.is_table(path) for path, _ in listed)}


def _describe(engine: Engine, path: str) -> tuple[list[dict[str, str]], str | None]:
    try:
        columns = engine.columns_of(path)
    except ToolError as error:
        return [], str(error)
    return [{"name": name, "type": kind} for name, kind in columns], None


def _database_tables(engine: Engine) -> list[dict[str, Any]]:
    rows = engine.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
        "AND NOT internal ORDER BY table_name, column_index"
    ).fetchall()
    tables: dict[str, list[dict[str, str]]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, []).append({"name": column, "type": kind})
    return [{"name": name, "size_bytes": None, "columns": columns, "problem": None} for name, columns in tables.items()]


_OPERATIONS = {"query": _query, "profile": _profile, "export": _export, "chart": _chart}
