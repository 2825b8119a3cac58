"""Two tools instead of all: one that finds the others, one that calls them. For clients that hundreds would drown.

Above: `front`, which lists these in search mode and passes their calls here. Below: `tools.ToolBook`. A call by
`tools_call` is unwrapped before the door, which decides, checks and journals the tool that it names, and no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from muxi_runtime.gateway.ranking import Index
from muxi_runtime.gateway.tools import Tool, ToolBook

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["CALL", "MODES", "PARAMETER", "SEARCH", "Mode", "ToolSearch", "mode_of"]

Mode = Literal["all", "search"]
MODES: tuple[Mode, ...] = ("all", "search")
PARAMETER = "tools"
"""Of the endpoint's URL: goes before the setting."""

SEARCH, CALL = "tools_search", "tools_call"
"""No server's tool has such a name at `/mcp`: those have two underscores after the server's name. At `/mcp/SERVER`, a
tool of that name is reached by `tools_call`."""

MAX_QUERY = 500
USUAL_FOUND, MAX_FOUND = 5, 20
MAX_FOUND_BYTES = 64 * 2**10
"""Definitions in one answer, about: what a model has room for. What does not fit is named without its schema."""
SHORT_DESCRIPTION = 200
MAX_NAMED_SERVERS = 30

SHOWN = ("title", "description", "inputSchema", "annotations")
"""Of a definition, beside the name: what a caller needs for calling it."""

_SEARCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "maxLength": MAX_QUERY,
            "description": "Words for what the tool should do, or its name. Empty lists all by name.",
        },
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "default": USUAL_FOUND},
    },
    "required": ["query"],
    "additionalProperties": False,
}
_CALL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": f"The tool's name, as {SEARCH} gave it."},
        "arguments": {"type": "object", "description": "What its inputSchema asks for.", "default": {}},
    },
    "required": ["name"],
    "additionalProperties": False,
}
_FOUND_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tools": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "title": {"type": "string"},
                    "description": {"type": "string"},
                    "inputSchema": {"type": "object"},
                    "shortened": {"type": "boolean"},
                },
                "required": ["name"],
            },
        },
        "found": {"type": "integer", "description": "How many fit; more than are shown, perhaps."},
        "offered": {"type": "integer", "description": "How many tools there are."},
    },
    "required": ["tools", "found", "offered"],
}


def mode_of(request: Request | None, usual: Mode) -> Mode:
    """What a client is to be shown: as its URL asks, else as is usual here."""
    asked = request.query_params.get(PARAMETER) if request is not None else None
    return "search" if asked == "search" else "all" if asked == "all" else usual


class ToolSearch:
    """The two tools."""

    def __init__(self, tools: ToolBook) -> None:
        self._tools = tools
        self._index: Index | None = None
        tools.on_change(self._forget)
        self._search = Tool.of("", {"name": SEARCH, "inputSchema": _SEARCH_SCHEMA})
        self._call = Tool.of("", {"name": CALL, "inputSchema": _CALL_SCHEMA})

    def _forget(self) -> None:
        self._index = None

    def definitions(self, only: str | None) -> list[dict[str, Any]]:
        """The two tools as listed; `only` is the one server that the client asked for."""
        offered = self._tools.servers
        servers = [name for name, server in offered.items() if server.tools and only in (None, name)]
        count = sum(len(offered[name].tools) for name in servers)
        named = ", ".join(servers[:MAX_NAMED_SERVERS]) + (", ..." if len(servers) > MAX_NAMED_SERVERS else "")
        return [
            {
                "name": SEARCH,
                "title": "Find tools",
                "description": (
                    f"Find tools by what they do, best first, with what each takes. {count} tools of these servers can "
                    f"be found: {named}. Call what you find with {CALL}."
                ),
                "inputSchema": _SEARCH_SCHEMA,
                "outputSchema": _FOUND_SCHEMA,
                "annotations": {"readOnlyHint": True, "openWorldHint": False},
            },
            {
                "name": CALL,
                "title": "Call a tool",
                "description": f"Call a tool that {SEARCH} found, with arguments that fit its inputSchema.",
                "inputSchema": _CALL_SCHEMA,
                # What it does is what the tool does.
                "annotations": {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": True},
            },
        ]

    def search(self, arguments: Mapping[str, Any], only: str | None) -> dict[str, Any]:
        """The answer to a call of `tools_search`, as a `CallToolResult`.

        Raises:
            InvalidArgumentsError: the arguments do not fit.
        """
        self._search.check(arguments)
        if self._index is None:
            offered = self._tools.servers.values()
            self._index = Index(tool for server in offered for tool in server.tools.values())
        fitting = self._index.best(arguments["query"], server=only)
        shown = _within_bounds(fitting[: arguments.get("limit", USUAL_FOUND)], prefixed=only is None)
        value = {
            "tools": shown,
            "found": len(fitting),
            "offered": sum(len(server.tools) for name, server in self._tools.servers.items() if only in (None, name)),
        }
        text = json.dumps(value, ensure_ascii=False)
        return {"content": [{"type": "text", "text": text}], "structuredContent": value, "isError": False}

    def unwrapped(self, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The name and the arguments of the tool that a call of `tools_call` is for.

        Raises:
            InvalidArgumentsError: there is none in it; the tool's own arguments are checked at the door.
        """
        self._call.check(arguments)
        return arguments["name"], arguments.get("arguments", {})


def _within_bounds(tools: list[Tool], *, prefixed: bool) -> list[dict[str, Any]]:
    room = MAX_FOUND_BYTES
    shown: list[dict[str, Any]] = []
    for tool in tools:
        name = tool.full_name if prefixed else tool.name
        entry = {"name": name, **{field: tool.shown[field] for field in SHOWN if field in tool.shown}}
        size = len(json.dumps(entry))
        if size > room:
            description = str(tool.shown.get("description", ""))[:SHORT_DESCRIPTION]
            entry = {"name": name, "description": description, "shortened": True}
            size = len(json.dumps(entry))
        room = max(0, room - size)
        shown.append(entry)
    return shown
