"""Declares tools: a plain function, its schemas and its annotations side by side."""

from __future__ import annotations

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.network import reaches_hosts
from muxi_servers.kit.schema import find_error, find_unknown_word, with_defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.content import ToolResult

    Function = Callable[[Call, dict[str, Any]], ToolResult]

__all__ = ["Registry", "Tool", "arguments_schema", "object_schema"]


def object_schema(properties: dict[str, dict[str, Any]], required: list[str] | None = None) -> dict[str, Any]:
    """A closed object: every property required unless said otherwise, no others taken."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def arguments_schema(**properties: dict[str, Any]) -> dict[str, Any]:
    """A closed object: properties without a `default` are required."""
    return object_schema(properties, [name for name, part in properties.items() if "default" not in part])


class Tool:
    """One tool.

    `function` takes the call and the checked arguments, defaults filled in. It runs on a worker thread; with `quick`
    on the thread that reads messages, so that it gets through while every worker is busy: it may never wait.
    The hints are MCP's. `reaches`: it, or a program that it runs, connects to hosts where the sandbox may; only there
    is `openWorldHint` true.
    """

    def __init__(  # noqa: PLR0913 - the fields of one declaration
        self,
        name: str,
        function: Function,
        *,
        title: str,
        description: str,
        arguments: dict[str, Any],
        output: dict[str, Any],
        read_only: bool = False,
        destructive: bool = False,
        idempotent: bool = False,
        reaches: bool = False,
        quick: bool = False,
    ) -> None:
        for schema in (arguments, output):
            unknown = find_unknown_word(schema)
            if unknown:
                raise ValueError(f"tool {name}: the kit does not check {unknown}")
        self.name = name
        self.quick = quick
        self._function = function
        self._arguments = arguments
        self.definition: dict[str, Any] = {
            "name": name,
            "title": title,
            "description": description,
            "inputSchema": arguments,
            "outputSchema": output,
            "annotations": {
                "title": title,
                "readOnlyHint": read_only,
                "destructiveHint": destructive,
                "idempotentHint": idempotent,
                "openWorldHint": reaches and reaches_hosts(),
            },
        }

    def run(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """Check the arguments and call the function.

        Raises:
            ToolError: they do not fit, or the tool could not do it.
        """
        error = find_error(arguments, self._arguments)
        if error:
            raise ToolError(f"The arguments of {self.name} do not fit: {error}. Mend that and call it again.")
        return self._function(call, with_defaults(arguments, self._arguments))


class Registry:
    """The tools of one server by name, in the order they were declared."""

    def __init__(self, tools: list[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        if len(self._tools) != len(tools):
            raise ValueError("two tools have the same name")

    def get(self, name: str) -> Tool | None:
        """The tool of that name."""
        return self._tools.get(name)

    def definitions(self) -> list[dict[str, Any]]:
        """All definitions as `tools/list` has them."""
        return [tool.definition for tool in self._tools.values()]
