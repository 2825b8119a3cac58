"""What a session answers, and how that becomes a tool's result."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64

from muxi_servers.code.images import MAX_IMAGE_BYTES, MAX_IMAGES
from muxi_servers.kit.content import ToolResult, image, text
from muxi_servers.kit.pictures import image_type
from muxi_servers.kit.report import describe, to_json
from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.watch import Outcome

__all__ = ["MAX_COLUMNS", "MAX_ROWS", "REAP", "REAPED", "REPLY", "SESSION_OUTPUT", "to_result"]

MAX_ROWS = 50
MAX_COLUMNS = 20
MAX_TEXT = 20_000
_STRING = {"type": "string", "maxLength": MAX_TEXT + 100}
_NULL_OR_STRING = {"type": ["string", "null"], "maxLength": MAX_TEXT + 100}
_COUNT = {"type": "integer", "minimum": 0}
_CELLS = {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}, "maxItems": MAX_COLUMNS}
_TABLE = object_schema(
    {
        "columns": {"type": "array", "items": _STRING, "maxItems": MAX_COLUMNS},
        "index": {"type": "array", "items": _STRING, "maxItems": MAX_ROWS},
        "rows": {"type": "array", "items": _CELLS, "maxItems": MAX_ROWS},
        "total_rows": _COUNT,
        "total_columns": _COUNT,
        "markdown": {"type": "string", "maxLength": 200_000},
    }
)
_ERROR = object_schema({"type": _STRING, "message": _STRING, "traceback": _STRING})
_COMMON: dict[str, dict[str, Any]] = {
    "result": {**_NULL_OR_STRING, "description": "the value of the last expression as Python shows it"},
    "tables": {"type": "array", "items": _TABLE, "maxItems": 8},
    "error": {**_ERROR, "type": ["object", "null"]},
}
REPLY = object_schema({**_COMMON, "images": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_IMAGES}})
"""One line from the session; `images` are PNG in base64."""

REAP = {"reap": True}
REAPED = {"reaped": True}
"""Asks a session to wait for its dead children, and its answer."""

_KEPT_OF_OUTCOME = (
    *("ended_by", "duration_seconds", "stdout", "stderr", "stdout_bytes", "stderr_bytes"),
    *("stdout_omitted_bytes", "stderr_omitted_bytes", "processes_killed"),
)
SESSION_OUTPUT = object_schema(
    {
        "session": {"type": "string"},
        "state": {
            "type": "string",
            "enum": ["new", "kept", "restarted", "lost"],
            "description": "restarted: it had ended before this call, variables are gone; lost: it ended in this call",
        },
        "ended_by": {
            "type": "string",
            "enum": ["done", "error", "exit", "signal", "timeout", "cancelled", "output_limit", "memory", "lost"],
        },
        "duration_seconds": {"type": "number", "minimum": 0},
        **{name: {"type": "string"} for name in ("stdout", "stderr")},
        **dict.fromkeys(_KEPT_OF_OUTCOME[4:], _COUNT),
        **_COMMON,
        "images": _COUNT,
    }
)
_NOTES = {
    "restarted": "[the session had ended since the last call: this is a new one, without the old variables]",
    "lost": "[the session has ended: its variables are gone; the next call begins a new one]",
}


def to_result(reply: dict[str, Any] | None, outcome: Outcome, state: str, arguments: dict[str, Any]) -> ToolResult:
    """The result of `session_run`; `reply` is `None` if the session ended in this call."""
    told = to_json(outcome)
    if reply is not None and not outcome.reason:
        told["ended_by"] = "error" if reply["error"] else "done"
    answer = reply or {"result": None, "tables": [], "error": None, "images": []}
    images = _decode_images(answer["images"])
    structured = {
        "session": arguments["session"],
        "state": state,
        **{name: told[name] for name in _KEPT_OF_OUTCOME},
        **{name: answer[name] for name in ("result", "tables", "error")},
        "images": len(images),
    }
    words = _words(answer, told, state, arguments["timeout_seconds"])
    return ToolResult([text(words), *(image(data, kind) for data, kind in images)], structured)


def _words(answer: dict[str, Any], told: dict[str, Any], state: str, timeout: float) -> str:
    parts = []
    if told["ended_by"] in {"done", "error"}:
        parts += [told["stdout"].rstrip("\n"), told["stderr"].rstrip("\n")]
    else:
        parts.append(describe(told, timeout, "killed" if state == "lost" else "interrupted"))
    parts += [table["markdown"] for table in answer["tables"]]
    parts.append(answer["result"] or "")
    parts.append(answer["error"]["traceback"].rstrip("\n") if answer["error"] else "")
    parts.append(_NOTES.get(state, ""))
    return "\n".join(part for part in parts if part) or "[done, nothing printed]"


def _decode_images(encoded: list[str]) -> list[tuple[bytes, str]]:
    """Those that are images and fit."""
    found = []
    room = MAX_IMAGE_BYTES
    for data in encoded:
        try:
            decoded = a2b_base64(data)
        except Base64Error:
            continue
        kind = image_type(decoded)
        if kind and len(decoded) <= room:
            room -= len(decoded)
            found.append((decoded, kind))
    return found
