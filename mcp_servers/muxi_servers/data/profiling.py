"""What is in each column of a result."""

from __future__ import annotations

from muxi_servers.data.sources import quoted
from muxi_servers.data.values import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.data.engine import Engine

__all__ = ["MAX_COLUMNS", "profile"]

MAX_COLUMNS = 60
_NUMBERS = (
    *(
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
    ),
    *("FLOAT", "DOUBLE", "DECIMAL"),
)
_NESTED = ("STRUCT", "MAP", "UNION", "BLOB", "JSON", "VARIANT")


def profile(engine: Engine, sql: str, top: int) -> dict[str, Any]:
    """Of the first columns; fits `data.server.PROFILE_OUTPUT`."""
    columns = engine.columns(sql)
    told = [_column(engine, sql, name, kind, top) for name, kind in columns[:MAX_COLUMNS]]
    (rows,) = engine.execute(f"SELECT count(*) FROM (\n{sql}\n)").fetchone()  # nosec B608 - quoted, or sealed
    return {"rows": rows, "columns": told, "complete": len(columns) <= MAX_COLUMNS}


def _column(engine: Engine, sql: str, name: str, kind: str, top: int) -> dict[str, Any]:
    column = quoted(name, '"')
    nested = kind.endswith("]") or kind.startswith(_NESTED)
    number = not nested and kind.partition("(")[0] in _NUMBERS
    ends = f"min({column}), max({column}), count(DISTINCT {column})"
    if nested:
        ends = f"NULL, NULL, count(DISTINCT {column}::VARCHAR)"
    means = (
        f"avg({column}), stddev_samp({column}), quantile_cont({column}::DOUBLE, [0.25, 0.5, 0.75])"
        if number
        else "NULL, NULL, NULL"
    )
    row = engine.execute(f"SELECT count(*) - count({column}), {ends}, {means} FROM (\n{sql}\n)").fetchone()  # nosec B608 - quoted, or sealed
    values = engine.execute(
        f"SELECT {column}::VARCHAR, count(*) FROM (\n{sql}\n) WHERE {column} IS NOT NULL "  # nosec B608 - quoted, or sealed
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {top}"
    ).fetchall()
    nulls, low, high, distinct, mean, deviation, quartiles = row
    return {
        "name": name,
        "type": kind,
        "nulls": nulls,
        "distinct": distinct,
        "min": cell(low),
        "max": cell(high),
        "mean": cell(mean),
        "deviation": cell(deviation),
        "quartiles": [cell(value) for value in quartiles] if quartiles else None,
        "top": [{"value": str(cell(value)), "count": count} for value, count in values],
    }
