"""The built-in server that runs on the host: tools by which a client handles its own tasks. Offered as `muxi`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from muxi_runtime.errors import UnknownToolError
from muxi_runtime.gateway.task import Task
from muxi_runtime.gateway.tasks import TaskRegistry
from muxi_runtime.identity.principal import Principal

__all__ = ["HOST", "HostServer"]

HOST = "muxi"

_TASK = {
    "type": "object",
    "properties": {
        "task": {"type": "string"},
        "client": {"type": "string"},
        "idle_seconds": {"type": "number"},
        "servers": {"type": "array", "items": {"type": "string"}},
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
)


class HostServer:
    """Answers the calls of the `muxi` server. Arguments are valid already: the door has checked them."""

    definitions = _DEFINITIONS

    def __init__(self, tasks: TaskRegistry) -> None:
        self._tasks = tasks
        self._tools: dict[str, Callable[[Mapping[str, Any], Principal], Awaitable[dict[str, Any]]]] = {
            "task_new": self._new,
            "task_end": self._end,
            "task_list": self._list,
        }

    async def call(self, tool: str, arguments: Mapping[str, Any], principal: Principal) -> Mapping[str, Any]:
        """One call, as a `CallToolResult`.

        Raises:
            RefusedError: no such task, no room for a further one.
        """
        if tool not in self._tools:
            raise UnknownToolError(f"Server {HOST!r} has no tool {tool!r}.")
        value = await self._tools[tool](arguments, principal)
        text = json.dumps(value, ensure_ascii=False)
        return {"content": [{"type": "text", "text": text}], "structuredContent": value, "isError": False}

    async def _new(self, _arguments: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
        return _describe(await self._tasks.new(principal))

    async def _end(self, arguments: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
        task = self._tasks.named(arguments["task"], principal)
        description = _describe(task)
        await self._tasks.end(task, "asked for by its owner")
        return description

    async def _list(self, _arguments: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
        return {"tasks": [_describe(task) for task in self._tasks.of(principal)]}


def _describe(task: Task) -> dict[str, Any]:
    return {
        "task": task.id,
        "client": task.client,
        "idle_seconds": round(task.idle_seconds, 1),
        "servers": sorted(name for name, owner in task.owners.items() if owner.sandbox),
    }
