"""A server's tools called line by line, without an event loop, so that one server may serve a whole module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp import StdioServerParameters
from servers_harness import MODERN, RawServer, boxed

__all__ = ["RawTools", "boxed_on", "raw_tools"]


class RawTools:
    """What `call` and `refusal` say of one server."""

    def __init__(self, server: RawServer) -> None:
        self._server = server
        self._id = 0
        self.content: list[dict[str, Any]] = []

    def result(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The whole result of a call."""
        self._id += 1
        answer = self._server.ask("tools/call", {"name": tool, "arguments": arguments, "_meta": MODERN}, self._id)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        self.content = result["content"]
        return result

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured content of a call that must not fail."""
        result = self.result(tool, **arguments)
        assert not result["isError"], result["content"]
        structured: dict[str, Any] = result["structuredContent"]
        return structured

    def refusal(self, tool: str, **arguments: Any) -> str:
        """The text of a call that must fail."""
        result = self.result(tool, **arguments)
        assert result["isError"], result
        text: str = result["content"][0]["text"]
        return text


@contextmanager
def raw_tools(parameters: StdioServerParameters) -> Iterator[RawTools]:
    """A server for the block."""
    with RawServer(parameters) as server:
        yield RawTools(server)


def boxed_on(image: str, server: str, folder: Path, *more: str) -> StdioServerParameters:
    """The server in a container whose workspace is a folder of this host, so that a test can put anything into it.

    `more` are options of `docker run`.
    """
    folder.chmod(0o777)
    parameters = boxed(image, server, "-v", f"{folder}:/workspace", *more)
    at = next(index for index, word in enumerate(parameters.args) if word.startswith("/workspace:size"))
    del parameters.args[at - 1 : at + 1]
    return parameters
