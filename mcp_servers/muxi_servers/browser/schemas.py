"""What the tools take and answer."""

from __future__ import annotations

from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Schema = dict[str, Any]

__all__ = [
    "BLOCKED",
    "CONSOLE",
    "COOKIES",
    "DIALOGS",
    "FLAG",
    "MADE",
    "NETWORK",
    "OPENED",
    "PAGE",
    "PATH",
    "PICTURE",
    "RESULT",
    "TABS",
    "TARGET",
    "TEXT",
    "choice",
    "entries",
    "integer",
    "listed",
    "optional",
    "seconds",
]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_EVENTS: Schema = {"type": "array", "items": _TEXT}
_STATE: dict[str, Schema] = {"tab": _COUNT, "url": _TEXT, "title": _TEXT, "events": _EVENTS}
TARGET: Schema = {"type": "string", "minLength": 1, "maxLength": 1000}
PATH: Schema = {"type": "string", "minLength": 1, "description": "in the workspace"}
FLAG: Schema = {"type": "boolean", "default": False}


def optional(schema: Schema, **more: Any) -> Schema:  # noqa: ANN401 - words of JSON Schema
    """A text that may be left out."""
    return {"type": "string", "maxLength": schema.get("maxLength", 2000), "default": "", **more}


def choice(*names: str) -> Schema:
    """One of these; the first if it is left out."""
    return {"type": "string", "enum": list(names), "default": names[0]}


def integer(default: int, least: int, most: int) -> Schema:
    """A whole number in a range."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def seconds(default: int, most: int) -> Schema:
    """How long it may take."""
    return {"type": "number", "minimum": 1, "maximum": most, "default": default}


def listed(item: Schema, most: int, **more: Any) -> Schema:  # noqa: ANN401 - words of JSON Schema
    """A list that is not longer than that."""
    return {"type": "array", "items": item, "maxItems": most, **more}


def entries(**properties: Schema) -> Schema:
    """A list of closed objects."""
    return {"type": "array", "items": object_schema(properties)}


PAGE = object_schema(_STATE)
OPENED = object_schema({**_STATE, "status": {**_COUNT, "description": "of HTTP; 0: none"}})
TEXT = object_schema(
    {
        **_STATE,
        "text": _TEXT,
        "offset": _COUNT,
        "next_offset": {"type": ["integer", "null"], "description": "null at the end"},
        "total_characters": _COUNT,
    }
)
PICTURE = object_schema({**_STATE, "mime_type": _TEXT})
MADE = object_schema(
    {**_STATE, "path": _TEXT, "size_bytes": _COUNT, "name": {**_TEXT, "description": "as the site calls it"}},
    [*_STATE, "path", "size_bytes"],
)
RESULT = object_schema({**_STATE, "result": {**_TEXT, "description": "JSON"}, "truncated": {"type": "boolean"}})
TABS = object_schema(
    {"tabs": entries(tab=_COUNT, url=_TEXT, title=_TEXT, current={"type": "boolean"}), "events": _EVENTS}
)
CONSOLE = object_schema(
    {
        "messages": entries(tab=_COUNT, kind=_TEXT, text=_TEXT, url=_TEXT, line=_COUNT),
        "left_out": _COUNT,
        "events": _EVENTS,
    }
)
NETWORK = object_schema(
    {
        "requests": entries(tab=_COUNT, method=_TEXT, url=_TEXT, kind=_TEXT, status=_COUNT, failure=_TEXT),
        "left_out": _COUNT,
        "events": _EVENTS,
    }
)
COOKIES = object_schema(
    {
        "cookies": entries(
            name=_TEXT,
            value=_TEXT,
            domain=_TEXT,
            path=_TEXT,
            expires={"type": "number", "description": "seconds since 1970; -1: with the browser"},
            http_only={"type": "boolean"},
            secure={"type": "boolean"},
        ),
        "total": _COUNT,
    }
)
BLOCKED = object_schema({"patterns": _EVENTS, "blocked": {**_COUNT, "description": "requests so far"}})
DIALOGS = object_schema({"answer": _TEXT, "seen": entries(tab=_COUNT, kind=_TEXT, message=_TEXT, answer=_TEXT)})
