"""The tools of the `data` server."""

from __future__ import annotations

from muxi_servers.data.tools import Data
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema, object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-data", "title": "Data", "version": "0.1.0"}
_INSTRUCTIONS = (
    "SQL (DuckDB's) over files of the workspace. A file is a table by its path in quotes: SELECT * FROM 'sales/a.csv'; "
    "'sales/*.csv' is all of them. For SQLite and DuckDB files name one as database and use its tables. Queries change "
    "nothing; export and chart write new files; execute changes databases, where the operator allows it."
)
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_VALUE = {"type": ["string", "number", "boolean", "null"]}
_MAYBE = {"type": ["integer", "null"]}
_SQL: dict[str, Any] = {"type": "string", "maxLength": 50_000, "default": "", "description": "one query"}
_PATH: dict[str, Any] = {
    "type": "string",
    "maxLength": 1_000,
    "default": "",
    "description": "in place of sql: all of this data file (CSV, TSV, JSON, Parquet; also with .gz)",
}
_DATABASE: dict[str, Any] = {
    "type": "string",
    "maxLength": 1_000,
    "default": "",
    "description": "SQLite or DuckDB file whose tables the query may name",
}
_SECONDS = {"type": "number", "minimum": 0.5, "maximum": 300, "default": 60, "description": "until it is ended"}
_FROM = {"sql": _SQL, "path": _PATH, "database": _DATABASE, "timeout_seconds": _SECONDS}
_OUT: dict[str, Any] = {"type": "string", "maxLength": 1_000, "description": "new file, relative to the workspace"}
_OVERWRITE = {"type": "boolean", "default": False}
_COLUMNS = {"type": "array", "items": object_schema({"name": _TEXT, "type": _TEXT})}
KINDS = ["line", "bar", "scatter", "histogram", "box", "pie"]
FORMATS = ["csv", "json", "jsonl", "parquet"]
QUERY_OUTPUT = object_schema(
    {
        "columns": _COLUMNS,
        "rows": {"type": "array", "items": {"type": "array", "items": _VALUE}},
        "total_rows": {**_MAYBE, "description": "of the whole result; null if it cannot be counted"},
        "cut_cells": {**_COUNT, "description": "values of which only the first 2000 characters are here"},
        "complete": {"type": "boolean", "description": "whether these are all rows, with nothing cut"},
    }
)
SCHEMA_OUTPUT = object_schema(
    {
        "tables": {
            "type": "array",
            "items": object_schema(
                {
                    "name": _TEXT,
                    "size_bytes": _MAYBE,
                    "columns": {**_COLUMNS, "description": "empty of a database: name it as database"},
                    "problem": {"type": ["string", "null"], "description": "why it cannot be read"},
                }
            ),
        },
        "complete": {"type": "boolean", "description": "false if there are more files, or some were not looked into"},
    }
)
PROFILE_OUTPUT = object_schema(
    {
        "rows": _COUNT,
        "columns": {
            "type": "array",
            "items": object_schema(
                {
                    "name": _TEXT,
                    "type": _TEXT,
                    "nulls": _COUNT,
                    "distinct": _COUNT,
                    **dict.fromkeys(("min", "max", "mean", "deviation"), _VALUE),
                    "quartiles": {"type": ["array", "null"], "items": _VALUE},
                    "top": {"type": "array", "items": object_schema({"value": _TEXT, "count": _COUNT})},
                }
            ),
        },
        "complete": {"type": "boolean", "description": "false if there are more columns"},
    }
)
CHART_OUTPUT = object_schema(
    {
        "points": _COUNT,
        "series": {"type": "array", "items": _TEXT},
        "file": {"type": ["string", "null"], "description": "where it was written"},
    }
)
EXPORT_OUTPUT = object_schema({"file": _TEXT, "rows": _COUNT, "size_bytes": _COUNT, "columns": _COLUMNS})

EXECUTE_OUTPUT = object_schema(
    {
        "database": {"type": ["string", "null"], "description": "the file that was changed"},
        "size_bytes": {**_MAYBE, "description": "of the database now"},
        "changed_rows": {**_COUNT, "description": "inserted, updated and deleted rows together"},
        "files": {
            "type": "array",
            "items": object_schema({"file": _TEXT, "rows": _COUNT, "size_bytes": _COUNT}),
            "description": "written by COPY",
        },
    }
)


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve."""
    data = Data(launcher, workspace)
    return Server(_INFO, _INSTRUCTIONS, [*_reading_tools(data), *_writing_tools(data)])


def _reading_tools(data: Data) -> list[Tool]:
    most = {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100}
    top = {"type": "integer", "minimum": 0, "maximum": 50, "default": 5, "description": "most frequent values to name"}
    return [
        Tool(
            "query",
            data.query,
            title="Query",
            description="Run one SQL query over data files: its first rows, their types, and how many there are.",
            arguments=arguments_schema(**_FROM, max_rows=most),
            output=QUERY_OUTPUT,
            read_only=True,
            idempotent=True,
        ),
        Tool(
            "schema",
            data.schema,
            title="Tables and columns",
            description="Data files of the workspace with their columns and types; or those of one file or database.",
            arguments=arguments_schema(path=_PATH, database=_DATABASE, timeout_seconds=_SECONDS),
            output=SCHEMA_OUTPUT,
            read_only=True,
            idempotent=True,
        ),
        Tool(
            "profile",
            data.profile,
            title="Profile",
            description=(
                "What is in each column of a file or a query: missing and distinct values, range, mean, quartiles, and "
                "the most frequent values."
            ),
            arguments=arguments_schema(**_FROM, top=top),
            output=PROFILE_OUTPUT,
            read_only=True,
            idempotent=True,
        ),
    ]


def _writing_tools(data: Data) -> list[Tool]:
    name = {"type": "string", "maxLength": 200}
    return [
        Tool(
            "chart",
            data.chart,
            title="Chart",
            description="Draw a file or a query as a chart to look at; with file also into the workspace (.png, .svg).",
            arguments=arguments_schema(
                **_FROM,
                kind={"type": "string", "enum": KINDS},
                x={**name, "default": "", "description": "column; empty: the first one, if the kind has an x"},
                y={
                    "type": "array",
                    "items": name,
                    "maxItems": 10,
                    "default": [],
                    "description": "columns of numbers; empty: all others",
                },
                title={**name, "default": ""},
                file={**_OUT, "default": ""},
                overwrite=_OVERWRITE,
            ),
            output=CHART_OUTPUT,
            destructive=True,
            idempotent=True,
        ),
        Tool(
            "export",
            data.export,
            title="Export",
            description="Write a file or a query's whole result to a new file: CSV, JSON, JSON lines or Parquet.",
            arguments=arguments_schema(
                **_FROM,
                file={**_OUT, "minLength": 1},
                format={"type": "string", "enum": FORMATS, "default": "csv"},
                overwrite=_OVERWRITE,
            ),
            output=EXPORT_OUTPUT,
            destructive=True,
            idempotent=True,
        ),
        _execute_tool(data),
    ]


def _execute_tool(data: Data) -> Tool:
    statements = (
        "CREATE, ALTER, DROP, INSERT, UPDATE, DELETE, MERGE, COPY ... TO 'file'; in a SQLite file SQLite's own SQL"
    )
    file = "SQLite or DuckDB file; a new one is made if its name ends in .duckdb or .sqlite; empty: only COPY lasts"
    return Tool(
        "execute",
        data.execute,
        title="Change data",
        description=(
            "Change a database by SQL statements, all or none of which take effect; write files with COPY ... TO, in "
            "place of what is there. Refused unless the operator has allowed it."
        ),
        arguments=arguments_schema(
            sql={"type": "string", "minLength": 1, "maxLength": 200_000, "description": statements},
            database={"type": "string", "maxLength": 1_000, "default": "", "description": file},
            timeout_seconds=_SECONDS,
        ),
        output=EXECUTE_OUTPUT,
        destructive=True,
    )
