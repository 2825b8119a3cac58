"""The tools of the `thinking` server."""

from __future__ import annotations

from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema, object_schema
from muxi_servers.thinking.pad import MAX_THOUGHTS, Pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-thinking", "title": "Thinking", "version": "0.1.0"}
_INSTRUCTIONS = (
    "A scratch pad. Note one thought at a time, revise one that turned out wrong, try another way on a branch, and "
    "read the line of thought again before answering. It is kept for this task only, and in memory only."
)
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": ["integer", "null"]}
_NAMES = {"type": "array", "items": {"type": "string"}}
_BRANCH: dict[str, Any] = {"type": "string", "maxLength": 40, "default": ""}
_AT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_THOUGHTS, "default": 0}
THINK_OUTPUT = object_schema(
    {"number": _COUNT, "branch": {"type": "string"}, "revises": _NUMBER, "total": _COUNT, "branches": _NAMES}
)
_THOUGHT = object_schema(
    {
        "number": _COUNT,
        "branch": {"type": "string"},
        "text": {"type": "string"},
        "revises": {**_NUMBER, "description": "the thought that it stands in place of"},
        "revised_by": {**_NUMBER, "description": "the thought that stands in its place"},
        "after": {**_NUMBER, "description": "on the first thought of a branch: where that begins"},
    }
)
LIST_OUTPUT = object_schema({"thoughts": {"type": "array", "items": _THOUGHT}, "total": _COUNT})
CLEAR_OUTPUT = object_schema({"cleared": _COUNT})


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve. It starts no programs and has no use for a workspace."""
    del launcher, workspace
    tools = _Tools()
    return Server(_INFO, _INSTRUCTIONS, [_think_tool(tools), *_pad_tools(tools)])


class _Tools:
    def __init__(self) -> None:
        self._pad = Pad()

    def think(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        revises, after = int(arguments["revises"]) or None, int(arguments["after"]) or None
        told = self._pad.add(arguments["thought"], arguments["branch"], revises, after)
        instead = f", in place of {revises}" if revises else ""
        return ToolResult([text(f"Noted as thought {told['number']} on {told['branch']}{instead}.")], told)

    def list(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        thoughts = self._pad.line(arguments["branch"], with_revised=arguments["with_revised"])
        lines = [_line(thought) for thought in thoughts]
        told = {"thoughts": thoughts, "total": len(thoughts)}
        return ToolResult([text("\n".join(lines) or "[the pad is empty]")], told)

    def clear(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        del arguments
        count = self._pad.clear()
        return ToolResult([text(f"Cleared {count} thoughts.")], {"cleared": count})


def _line(thought: dict[str, Any]) -> str:
    notes = [thought["branch"]]
    notes += [f"{word} {thought[key]}" for key, word in _WORDS if thought[key]]
    return f"{thought['number']}. ({', '.join(notes)}) {thought['text']}"


_WORDS = (("after", "after"), ("revises", "in place of"), ("revised_by", "replaced by"))


def _think_tool(tools: _Tools) -> Tool:
    return Tool(
        "think",
        tools.think,
        title="Note a thought",
        description=(
            "Note one thought of a longer reasoning; it gets a number. Pass revises to replace an earlier one, or a "
            f"new branch with after to try another way from there. The pad holds {MAX_THOUGHTS} thoughts."
        ),
        arguments=arguments_schema(
            thought={"type": "string", "minLength": 1, "maxLength": 10_000},
            branch={**_BRANCH, "description": "name of the branch; empty: main, or that of the thought revised"},
            revises={**_AT, "description": "number of the thought that this one replaces; 0: none"},
            after={**_AT, "description": "for the first thought of a new branch: the thought it begins after; 0: none"},
        ),
        output=THINK_OUTPUT,
    )


def _pad_tools(tools: _Tools) -> list[Tool]:
    return [
        Tool(
            "list",
            tools.list,
            title="Read the thoughts",
            description="The thoughts so far: all, or those that lead to the end of one branch.",
            arguments=arguments_schema(
                branch={**_BRANCH, "description": "name of a branch; empty: all thoughts in the order they were noted"},
                with_revised={
                    "type": "boolean",
                    "default": False,
                    "description": "also those that a later one stands in place of",
                },
            ),
            output=LIST_OUTPUT,
            read_only=True,
            idempotent=True,
        ),
        Tool(
            "clear",
            tools.clear,
            title="Clear the pad",
            description="Forget all thoughts; numbers begin at 1 again.",
            arguments=arguments_schema(),
            output=CLEAR_OUTPUT,
            destructive=True,
            idempotent=True,
        ),
    ]
