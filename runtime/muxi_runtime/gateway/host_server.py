"""The built-in server that runs on the host: tools by which a client handles its own tasks. Offered as `muxi`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from muxi_runtime.errors import UnknownToolError
from muxi_runtime.gateway.caller import CallRequest
from muxi_runtime.gateway.rests import LONGEST_RANGE, PREFIX, Range, Rest, Rests, parse
from muxi_runtime.gateway.settings import GatewaySettings
from muxi_runtime.gateway.task import Task
from muxi_runtime.gateway.tasks import TaskRegistry
from muxi_runtime.identity.principal import Principal

__all__ = ["HOST", "HostServer", "reads_rests", "wanted_rest"]

HOST = "muxi"
READ = "result_read"
DEFAULT_RANGE = 20_000
"""Characters of a kept result that a model is given at once, unless it says how many."""

_TASK = {
    "type": "object",
    "properties": {
        "task": {"type": "string"},
        "client": {"type": "string"},
        "idle_seconds": {"type": "number"},
        "servers": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["task", "client", "idle_seconds", "servers"],
}

_DEFINITIONS: tuple[dict[str, Any], ...] = (
    {
        "name": "task_new",
        "title": "New task",
        "description": (
            "Open a task: fresh sandboxes and an empty workspace of its own. Name it in later calls by the "
            "`muxi/task` entry of `_meta` or by the `Muxi-Task` header. Calls that name none share the default task."
        ),
        "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "outputSchema": _TASK,
        "annotations": {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False},
    },
    {
        "name": "task_end",
        "title": "End task",
        "description": "End one of your tasks: kill its programs, remove its workspace. This cannot be undone.",
        "inputSchema": {
            "type": "object",
            "properties": {"task": {"type": "string", "description": "The id that task_new or task_list gave."}},
            "required": ["task"],
            "additionalProperties": False,
        },
        "outputSchema": _TASK,
        "annotations": {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": False},
    },
    {
        "name": "task_list",
        "title": "List tasks",
        "description": "Your open tasks, oldest first.",
        "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "outputSchema": {
            "type": "object",
            "properties": {"tasks": {"type": "array", "items": _TASK}},
            "required": ["tasks"],
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": READ,
        "title": "Read on in a result",
        "description": (
            "Read on in a result that was too long and was cut; it said its uri and the offset. Only in the task that "
            "the result was made in."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "uri": {"type": "string", "description": f"As the result said: {PREFIX}..."},
                "offset": {"type": "integer", "minimum": 0, "description": "The first character that is wanted."},
                "length": {"type": "integer", "minimum": 1, "maximum": LONGEST_RANGE, "description": "How many."},
            },
            "required": ["uri"],
            "additionalProperties": False,
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "offset": {"type": "integer"},
                "next_offset": {"type": "integer", "description": "Of the next part; absent at the end."},
                "characters": {"type": "integer"},
            },
            "required": ["offset", "characters"],
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
)


class HostServer:
    """Answers the calls of the `muxi` server. Arguments are valid already: the door has checked them."""

    definitions = _DEFINITIONS

    def __init__(self, tasks: TaskRegistry, settings: GatewaySettings) -> None:
        self._tasks = tasks
        self._rest_seconds = settings.kept_result_seconds
        # So few that they are not cut again: a character has four bytes at most, and there is a little around them.
        self._longest = min(LONGEST_RANGE, (settings.max_result_bytes - 256) // 4)
        self._tools: dict[str, Callable[[Mapping[str, Any], Principal], Awaitable[dict[str, Any]]]] = {
            "task_new": self._new,
            "task_end": self._end,
            "task_list": self._list,
        }

    async def answer(self, request: CallRequest, principal: Principal, task: Task | None) -> Mapping[str, Any]:
        """A call, or the reading of a kept result, as a result of MCP's. `task` is the one that it names or has.

        Raises:
            RefusedError: no such task, no room for a further one, no such result.
        """
        tool, arguments = request.tool, request.arguments
        if request.method == "resources/read":
            return self._read_resource(tool, task)
        if request.method != "tools/call":
            raise UnknownToolError(f"Server {HOST!r} has neither prompts nor completion.")
        if tool == READ:
            return self._read_on(arguments, task)
        if tool not in self._tools:
            raise UnknownToolError(f"Server {HOST!r} has no tool {tool!r}.")
        value = await self._tools[tool](arguments, principal)
        text = json.dumps(value, ensure_ascii=False)
        return {"content": [{"type": "text", "text": text}], "structuredContent": value, "isError": False}

    def _read_resource(self, uri: str, task: Task | None) -> dict[str, Any]:
        wanted = self._bounded(parse(uri))
        rest = self._rest(wanted, task)
        text = rest.text[wanted.offset :][: wanted.length]
        return {"contents": [{"uri": uri, "mimeType": rest.mime_type, "text": text, "_meta": _place(rest, wanted)}]}

    def _read_on(self, arguments: Mapping[str, Any], task: Task | None) -> dict[str, Any]:
        wanted = replace(parse(_without_range(arguments["uri"])), offset=arguments.get("offset", 0))
        wanted = self._bounded(replace(wanted, length=arguments.get("length", DEFAULT_RANGE)))
        rest = self._rest(wanted, task)
        text = rest.text[wanted.offset :][: wanted.length]
        return {
            "content": [{"type": "text", "text": text}],
            "structuredContent": _place(rest, wanted),
            "isError": False,
        }

    def _bounded(self, wanted: Range) -> Range:
        return replace(wanted, length=min(wanted.length, self._longest))

    def _rest(self, wanted: Range, task: Task | None) -> Rest:
        return (task.rests if task else Rests()).get(wanted.id, self._rest_seconds)

    async def _new(self, _arguments: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
        return _describe(await self._tasks.new(principal))

    async def _end(self, arguments: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
        task = self._tasks.named(arguments["task"], principal)
        description = _describe(task)
        await self._tasks.end(task, "asked for by its owner")
        return description

    async def _list(self, _arguments: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
        return {"tasks": [_describe(task) for task in self._tasks.of(principal)]}


def reads_rests(request: CallRequest) -> bool:
    """Whether it is about the task that the caller names or has, and not about all of the caller's."""
    return request.method == "resources/read" or request.tool == READ


def wanted_rest(request: CallRequest) -> str | None:
    """The URI of the kept result that a request reads; `None` if it reads none."""
    if request.method == "resources/read":
        return request.tool
    reads = (request.method, request.tool) == ("tools/call", READ)
    return _without_range(request.arguments["uri"]) if reads else None


def _without_range(uri: str) -> str:
    return uri.partition("?")[0]


def _describe(task: Task) -> dict[str, Any]:
    return {
        "task": task.id,
        "client": task.client,
        "idle_seconds": round(task.idle_seconds, 1),
        "servers": sorted(name for name, owner in task.owners.items() if owner.sandbox),
        "labels": sorted(task.labels),
    }


def _place(rest: Rest, wanted: Range) -> dict[str, Any]:
    """Where a range is, and where the next one begins, if there is one."""
    end, total = wanted.offset + wanted.length, len(rest.text)
    place = {"offset": wanted.offset, "characters": total}
    return place | {"next_offset": end} if end < total else place
