"""The statements of one `execute`: split, judged by their kind, and COPY ... TO taken apart.

COPY is not left to DuckDB: the process that runs the statements can open no file for writing. Its query is run, and
its rows are written as `export` writes them, to a file that the server has opened.
"""

from __future__ import annotations

import duckdb

from muxi_servers.data.statements import literal_at, plain_text, prepare, tokens
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.data.sources import Sources

__all__ = ["plan_changes"]

_TAKEN = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE_INTO", "CREATE", "ALTER", "DROP"))
_FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_NAMED = ("csv", "json", "jsonl", "parquet")
_MAX_STATEMENTS = 500
_COPY_HELP = "write COPY table TO 'file.csv', or COPY (SELECT ...) TO 'file' (FORMAT parquet)"


def plan_changes(connection: Any, sql: str, sources: Sources) -> list[dict[str, str]]:  # noqa: ANN401 - DuckDB's
    """Each statement: `sql` to run, and of a COPY the `file` and `format` that its rows go to, else empty.

    Opens the data files that they read.

    Raises:
        ToolError: one of them is of no kind that changes tables or writes files.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise ToolError(f"The SQL cannot be read: {error}") from None
    if not 1 <= len(statements) <= _MAX_STATEMENTS:
        raise ToolError(f"Give 1 to {_MAX_STATEMENTS} statements, not {len(statements)}.")
    planned = [_planned(str(one.type).rpartition(".")[2], plain_text(one.query)) for one in statements]
    for one in planned:
        prepare(one["sql"], sources)
    return planned


def _planned(kind: str, text: str) -> dict[str, str]:
    if kind == "COPY":
        return _copy(text)
    if kind == "SELECT":
        raise ToolError("A SELECT changes nothing: use query for it.")
    if kind == "MULTI":  # DuckDB makes more statements of it, with types of their own
        raise ToolError(
            "This PIVOT looks for its columns itself: name them, PIVOT ... ON column IN (...), or have query do it."
        )
    if kind not in _TAKEN:
        raise ToolError(
            f"This is a statement of kind {kind}; execute takes CREATE, ALTER, DROP, INSERT, UPDATE, DELETE, MERGE and "
            "COPY ... TO. All statements on the database take effect, or none: BEGIN and COMMIT are not needed."
        )
    return {"sql": text, "file": "", "format": ""}


def _copy(text: str) -> dict[str, str]:
    offsets = [offset for offset, kind in tokens(text) if kind != duckdb.token_type.comment]
    at = _keyword_outside(text, offsets, "to")
    target = literal_at(text, offsets[at + 1]) if 1 < at < len(offsets) - 1 else None
    if target is None or text[offsets[at + 1]] != "'":
        raise ToolError(
            f"This COPY is not taken here: {_COPY_HELP}. To read a file, INSERT INTO table FROM 'file.csv'."
        )
    path, end = target
    form = _format(path, text[end:])
    inner = text[offsets[1] : offsets[at]].strip()
    return {"sql": _query_of(inner), "file": path, "format": form}


def _keyword_outside(text: str, offsets: list[int], word: str) -> int:
    """Which token is the last such word outside of all brackets; -1: none."""
    depth, found = 0, -1
    ends = [*offsets[1:], len(text)]
    for index, (start, end) in enumerate(zip(offsets, ends, strict=True)):
        token = text[start:end].strip()
        depth += (token[:1] == "(") - (token[:1] == ")")
        if depth == 0 and token.lower() == word:
            found = index
    return found


def _query_of(source: str) -> str:
    """A query in brackets, or a table with or without columns, as a query."""
    if source.startswith("("):
        return source[1:].rstrip().removesuffix(")")
    table, bracket, columns = source.partition("(")
    named = columns.rstrip().removesuffix(")") if bracket else "*"
    return f"SELECT {named} FROM {table}"  # nosec B608 - the caller's own SQL, in a sealed process


def _format(path: str, options: str) -> str:
    words = options.replace("(", " ").replace(")", " ").replace("'", " ").lower().split()
    if not words:
        ending = next((ending for ending in _FORMATS if path.lower().endswith(ending)), "")
        if not ending:
            raise ToolError(f"{path[:80]} does not say by its ending what it is: add (FORMAT csv), or one of {_NAMED}.")
        return _FORMATS[ending]
    if len(words) != 2 or words[0] != "format" or words[1] not in _NAMED:  # noqa: PLR2004 - the word and its value
        raise ToolError(f"COPY takes FORMAT alone here, one of {', '.join(_NAMED)}: {_COPY_HELP}.")
    return words[1]
