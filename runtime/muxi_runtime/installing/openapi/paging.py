"""How a list that an operation answers goes on: what its document says of the next page, if it says anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from muxi_runtime.installing.openapi.parameters import Parameter
from muxi_runtime.installing.openapi.schemas import Schema

__all__ = ["paging_of"]

LISTS = ("items", "data", "results", "records", "entries", "values", "value", "rows", "content", "list")
NEXT = ("next", "next_url", "nexturl", "next_link", "nextlink", "next_page_url", "nextpageurl", "@odata.nextlink")
LINKS = ("links", "_links", "paging", "pagination", "meta", "page_info", "pageinfo", "response_metadata")
HREF = ("href", "url")
TAKEN = (
    "cursor",
    "after",
    "page_token",
    "pagetoken",
    "next_token",
    "nexttoken",
    "continuation",
    "marker",
    "next_cursor",
)
GIVEN = (
    "next_cursor",
    "nextcursor",
    "next_page_token",
    "nextpagetoken",
    "next_token",
    "nexttoken",
    "cursor",
    "end_cursor",
)
NUMBERS = ("page", "page_number", "pagenumber")


def paging_of(
    method: str, parameters: Sequence[Parameter], answer: Schema, headers: Mapping[str, Any]
) -> dict[str, Any] | None:
    """As the server reads it: where the list is, and what leads to the next page; `None` for one that does not page.

    `answer` is the simplified schema of a success, `headers` those that its response declares.
    """
    items = _list_in(answer)
    if method != "get" or items is None:
        return None
    found = next(_ways(parameters, answer, headers), None)
    return {"items": items, **found} if found else None


def _ways(parameters: Sequence[Parameter], answer: Schema, headers: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    url = _find(answer, NEXT)
    if url:
        yield {"kind": "url", "path": url}
    cursor, given = _argument(parameters, TAKEN), _find(answer, GIVEN)
    if cursor and given:
        yield {"kind": "cursor", "path": given, "argument": cursor}
    if any(name.lower() == "link" for name in headers):
        yield {"kind": "link"}
    number = _argument(parameters, NUMBERS)
    if number:
        yield {"kind": "number", "argument": number}


def _list_in(answer: Schema) -> list[str] | None:
    """The path to the one list; empty for an answer that is one."""
    if _is(answer, "array"):
        return []
    lists = [name for name, part in answer.get("properties", {}).items() if _is(part, "array")]
    named = [name for name in lists if name.lower() in LISTS]
    chosen = named or lists
    return [chosen[0]] if len(chosen) == 1 or named else None


def _find(answer: Schema, names: tuple[str, ...]) -> list[str] | None:
    """The path to a text of one of these names: at the top, or one below what holds such."""
    for name, part in _fields(answer):
        if name.lower() in names and _is(part, "string"):
            return [name]
        if name.lower() in names and (inner := _named(part, HREF)):
            return [name, inner]
    for name, part in _fields(answer):
        if name.lower() in LINKS and (below := _find_below(part, names)):
            return [name, *below]
    return None


def _find_below(part: Schema, names: tuple[str, ...]) -> list[str] | None:
    for name, field in _fields(part):
        if name.lower() in names and _is(field, "string"):
            return [name]
        if name.lower() in names and (inner := _named(field, HREF)):
            return [name, inner]
    return None


def _named(part: Schema, names: tuple[str, ...]) -> str | None:
    return next((name for name, field in _fields(part) if name.lower() in names and _is(field, "string")), None)


def _fields(part: Schema) -> list[tuple[str, Schema]]:
    return list(part.get("properties", {}).items())


def _is(part: Schema, kind: str) -> bool:
    kinds = part.get("type", ())
    return kind in ((kinds,) if isinstance(kinds, str) else kinds)


def _argument(parameters: Sequence[Parameter], names: tuple[str, ...]) -> str | None:
    """A query parameter's."""
    found = (p.argument for p in parameters if p.place == "query" and p.name.lower() in names and not p.as_json)
    return next(found, None)
