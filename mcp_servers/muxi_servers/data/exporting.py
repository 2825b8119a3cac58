"""Rows to a file that is open already, as CSV or JSON; and from such a CSV to Parquet."""

from __future__ import annotations

import os

from muxi_servers.data.sources import quoted
from muxi_servers.data.values import whole
from muxi_servers.kit.apart import answer_apart
from muxi_servers.kit.codec import encode
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.workspace import OsErrors, Workspace, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from muxi_servers.data.engine import Engine

__all__ = ["convert", "write_rows"]

_BATCH = 2_000
_SIMPLE = frozenset(
    (
        *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER"),
        *("UBIGINT", "FLOAT", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "UUID", "VARCHAR"),
    )
)


def write_rows(engine: Engine, sql: str, form: str, out: int) -> dict[str, Any]:
    """Write a query's rows. For Parquet it is a CSV that `convert` reads, with values as DuckDB itself writes them.

    Raises:
        ToolError: two columns have one name, of which JSON and Parquet would keep one only.
    """
    columns = engine.columns(sql)
    names = [name for name, _ in columns]
    as_text = form in {"csv", "parquet"}
    if form != "csv":
        _check_names(names)
    result = engine.execute(f"SELECT COLUMNS(*)::VARCHAR FROM (\n{sql}\n)" if as_text else sql)  # nosec B608 - quoted, or sealed
    lines = _csv_lines if as_text else _json_lines(names, array=form == "json")
    rows = 0
    with OsErrors("the file"):
        write_all(out, _csv_lines([names], 0) if as_text else b"[\n" if form == "json" else b"")
        while batch := result.fetchmany(_BATCH):
            write_all(out, lines(batch, rows))
            rows += len(batch)
        write_all(out, b"\n]\n" if form == "json" else b"")
    return {"rows": rows, "columns": [{"name": name, "type": _simple(kind)} for name, kind in columns]}


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise ToolError("Two columns have the same name: name them apart with AS.")


def _simple(kind: str) -> str:
    """The type in Parquet; what is nested, or unknown here, becomes text."""
    inside = kind.removeprefix("DECIMAL(").removesuffix(")")
    decimal = kind.startswith("DECIMAL(") and all(part.isdigit() for part in inside.split(","))
    return kind if decimal or kind in _SIMPLE else "VARCHAR"


def _csv_lines(rows: Sequence[Sequence[str | None]], _: int) -> bytes:
    return "".join(",".join(map(_csv_cell, row)) + "\n" for row in rows).encode("utf-8", "replace")


def _csv_cell(value: str | None) -> str:
    """Nothing for NULL, `""` for an empty text."""
    if value is None:
        return ""
    plain = value and not set(value) & set('",\r\n') and value == value.strip()
    return value if plain else '"' + value.replace('"', '""') + '"'


def _json_lines(names: list[str], *, array: bool) -> Callable[[Sequence[Sequence[object]], int], bytes]:
    def lines(rows: Sequence[Sequence[object]], written: int) -> bytes:
        told = [encode(dict(zip(names, map(whole, row), strict=True))) for row in rows]
        if not array:
            return b"".join(line + b"\n" for line in told)
        return (b",\n" if written else b"") + b",\n".join(told)

    return lines


def convert() -> int:
    """Read the CSV at `source` and write Parquet to `into`. Runs none of the caller's SQL, so it is not sealed."""
    return answer_apart(_convert)


def _convert(request: dict[str, Any]) -> dict[str, Any]:
    import duckdb  # noqa: PLC0415 - in this process only

    workspace = Workspace(os.getcwd())
    with workspace.locate(request["source"], follow=False) as place, OsErrors(request["source"]):
        source = f"/proc/self/fd/{open_regular(place.folder, place.name)}"
    with workspace.locate(request["into"], follow=False) as place, OsErrors(request["into"]):
        into = f"/proc/self/fd/{os.open(place.name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.folder)}"
    types = {column["name"]: _simple(column["type"]) for column in request["columns"]}
    _check_names([column["name"] for column in request["columns"]])
    connection = duckdb.connect(":memory:", config={"memory_limit": "400MB", "threads": "2", "temp_directory": ""})
    options = "header=true, auto_detect=false, delim=',', quote='\"', escape='\"', nullstr='', allow_quoted_nulls=false"
    columns = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in types.items())
    try:
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{source}', {options}, columns={{{columns}}})) "  # nosec B608 - quoted, or sealed
            f"TO '{into}' (FORMAT parquet, USE_TMP_FILE false)"
        )
    except duckdb.Error as error:
        raise ToolError(f"The Parquet file could not be written: {error}") from None
    return {}
