"""What a query names, and whether it is one that is answered."""

from __future__ import annotations

import duckdb

from muxi_servers.data.offsets import character_offsets
from muxi_servers.data.sources import is_data
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.data.sources import Sources

__all__ = ["literal_at", "one_query", "plain_text", "prepare", "tokens"]

_READERS = (
    *("read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_ndjson", "read_ndjson_auto", "read_parquet"),
    *("parquet_scan", "parquet_metadata", "parquet_schema", "read_text", "read_blob", "sniff_csv"),
)
_ANSWERED = ("SELECT", "EXPLAIN", "MULTI")


def one_query(connection: Any, sql: str) -> str:  # noqa: ANN401 - DuckDB's connection
    """The text of the one statement, without the semicolon.

    Raises:
        ToolError: it is none, more than one, or one that is not for reading.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise ToolError(f"The SQL cannot be read: {error}") from None
    if len(statements) != 1:
        raise ToolError(f"Give one statement, not {len(statements)}.")
    (statement,) = statements
    kind = str(statement.type).rpartition(".")[2]
    if kind not in _ANSWERED:
        raise ToolError(
            f"This is a statement of kind {kind}; only queries are answered (SELECT, FROM, WITH, DESCRIBE, SUMMARIZE, "
            "PIVOT, EXPLAIN). Files are written with export."
        )
    return plain_text(statement.query)


def tokens(sql: str) -> list[tuple[int, Any]]:
    """(where it begins, counted in characters; DuckDB's kind of it) of each token, comments too.

    Raises:
        ToolError: DuckDB cannot tell them apart.
    """
    try:
        found = duckdb.tokenize(sql)  # offsets in bytes
        places = character_offsets(sql, [offset for offset, _ in found])
    except (duckdb.Error, ValueError) as error:
        raise ToolError(f"The SQL cannot be read: {error}") from None
    return [(place, kind) for place, (_, kind) in zip(places, found, strict=True)]


def plain_text(statement: str) -> str:
    """One statement without the semicolon at its end, and what stands after that, which is comments."""
    end = len(statement)
    for offset, kind in reversed(tokens(statement)):
        if kind == duckdb.token_type.operator and statement[offset] == ";":
            end = offset
        elif kind != duckdb.token_type.comment:
            break
    return statement[:end]


def prepare(sql: str, sources: Sources) -> tuple[str, list[str]]:
    """The query with files in `read_csv('...')` and the like put in, and the paths that stand as tables.

    A text or a quoted name that looks like a data file, and that is one in the workspace, is taken for it.
    """
    out: list[str] = []
    tables: list[str] = []
    last = 0
    offsets = [offset for offset, _ in tokens(sql)]
    for index, offset in enumerate(offsets):
        literal = literal_at(sql, offset)
        if literal is None:
            continue
        path, end = literal
        called = _function_before(sql, offsets, index)
        if not (called or is_data(path)):
            continue
        certain = called or (index and _word(sql, offsets, index - 1) in {"from", "join"})
        source = sources.get(path) if certain else sources.find(path)
        if source is None:
            continue
        if called:
            out += [sql[last:offset], source.literal]
            last = end
        elif path not in tables:
            tables.append(path)
    return "".join([*out, sql[last:]]), tables


def literal_at(sql: str, offset: int) -> tuple[str, int] | None:
    """(its text, where it ends) of a quoted text or name that begins there."""
    quote = sql[offset : offset + 1]
    if quote not in {"'", '"'}:
        return None
    at = offset + 1
    while True:
        end = sql.find(quote, at)
        if end < 0:
            return None
        if sql[end + 1 : end + 2] != quote:
            return sql[offset + 1 : end].replace(quote * 2, quote), end + 1
        at = end + 2


def _function_before(sql: str, offsets: list[int], index: int) -> bool:
    """Whether the token is the first argument of a function that reads files."""
    if index < 2 or sql[offsets[index - 1]] != "(" or sql[offsets[index]] != "'":  # noqa: PLR2004 - name and bracket
        return False
    return _word(sql, offsets, index - 2) in _READERS


def _word(sql: str, offsets: list[int], index: int) -> str:
    return sql[offsets[index] : offsets[index + 1]].strip().lower()
