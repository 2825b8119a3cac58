"""What the tools answer: their output schemas."""

from __future__ import annotations

from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CHUNK_OUTPUT", "INFO_OUTPUT", "OCR_OUTPUT", "READ_OUTPUT", "TABLES_OUTPUT", "WRITE_OUTPUT"]

_TEXT = {"type": "string"}
_OPTIONAL = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_NOTES = {"type": "array", "items": _TEXT, "description": "what a reader should know, such as hidden sheets or macros"}
_UNIT = {
    **_TEXT,
    "enum": ["page", "sheet", "slide", "chapter", "image", "document"],
    "description": "what its parts are",
}
_PARTS = {**_COUNT, "description": "how many parts it has"}
_CELL = {"type": ["string", "number", "boolean", "null"]}


def _list(item: dict[str, Any], description: str = "") -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"type": "array", "items": item, **told}


def _next(field: str, description: str) -> dict[str, Any]:
    """Where to go on: arguments for the next call; null at the end."""
    return {
        **object_schema({"parts": _TEXT, field: _COUNT}),
        "type": ["object", "null"],
        "description": description,
    }


INFO_OUTPUT = object_schema(
    {
        "path": _TEXT,
        "format": _TEXT,
        "mime_type": _TEXT,
        "size_bytes": _COUNT,
        "unit": _UNIT,
        "count": _PARTS,
        "title": _OPTIONAL,
        "author": _OPTIONAL,
        "subject": _OPTIONAL,
        "language": _OPTIONAL,
        "created": {**_OPTIONAL, "description": "as the document says it, mostly ISO 8601"},
        "modified": _OPTIONAL,
        "notes": _NOTES,
        "parts": _list(object_schema({"number": _COUNT, "name": _TEXT}), "those that have names, 500 at most"),
        "details": {"type": "object", "additionalProperties": _TEXT, "description": "more, depending on the format"},
        "encrypted": {"type": "boolean"},
    }
)
READ_OUTPUT = object_schema(
    {
        "path": _TEXT,
        "format": _TEXT,
        "title": _OPTIONAL,
        "unit": _UNIT,
        "count": _PARTS,
        "text": {
            **_TEXT,
            "description": "Markdown; each page, sheet, slide or chapter begins with <!-- page 3 of 9 -->",
        },
        "next": _next("offset", "arguments that read on; null at the end"),
        "notes": _NOTES,
    }
)
TABLES_OUTPUT = object_schema(
    {
        "path": _TEXT,
        "format": _TEXT,
        "unit": _UNIT,
        "tables": _list(
            object_schema(
                {
                    "number": {**_COUNT, "description": "counted through the parts asked for, from 1"},
                    "part": {**_COUNT, "description": "the page, sheet, slide or chapter that it is in"},
                    "name": {**_TEXT, "description": "caption or name of the sheet; may be empty"},
                    "first_row": _COUNT,
                    "rows": _list(_list(_CELL), "the first row of a table is its header, if it has one"),
                    "total_rows": {
                        "type": ["integer", "null"],
                        "description": "null where there are too many to count",
                    },
                    "columns": _COUNT,
                    "next_row": {"type": ["integer", "null"], "description": "first_row for the rest; null at the end"},
                }
            )
        ),
        "complete": {"type": "boolean", "description": "false if rows or tables were left out"},
    }
)
OCR_OUTPUT = object_schema(
    {
        "path": _TEXT,
        "unit": _UNIT,
        "count": _PARTS,
        "pages": _list(
            object_schema(
                {
                    "number": _COUNT,
                    "text": _TEXT,
                    "confidence": {"type": "number", "description": "of its words on average, 0 to 100"},
                    "width": {**_COUNT, "description": "pixels of what was looked at"},
                    "height": _COUNT,
                }
            )
        ),
        "next_parts": {**_OPTIONAL, "description": "parts for the next call; null if all were read"},
    }
)
CHUNK_OUTPUT = object_schema(
    {
        "path": _TEXT,
        "format": _TEXT,
        "title": _OPTIONAL,
        "unit": _UNIT,
        "count": _PARTS,
        "chunks": _list(
            object_schema(
                {
                    "text": _TEXT,
                    "headings": _list(_TEXT, "those that it is below, outermost first"),
                    "part": {**_COUNT, "description": "page, sheet, slide or chapter; no chunk goes over two"},
                    "part_name": _TEXT,
                    "index": {**_COUNT, "description": "which of this part's chunks, from 0"},
                    "start": {**_COUNT, "description": "first character in the part's Markdown"},
                    "end": {**_COUNT, "description": "character after the last"},
                    "characters": _COUNT,
                    "estimated_tokens": {**_COUNT, "description": "four bytes each"},
                }
            )
        ),
        "next": _next("skip", "arguments for the chunks that follow; null at the end"),
    }
)
WRITE_OUTPUT = object_schema(
    {
        "path": _TEXT,
        "format": _TEXT,
        "size_bytes": _COUNT,
        "created": {"type": "boolean", "description": "false if a file was replaced"},
        "notes": _list(_TEXT, "what could not be written as it was asked for"),
    }
)
