"""An MCP server for the in-memory backend, whose tools do what a test needs to see happen to a gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from stdio_program import run_program

from muxi_sandbox.fake import FakeProcess

ANY_OBJECT: dict[str, Any] = {"type": "object"}


def text(value: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=value)], is_error=is_error)


class DemoServer:
    """One running copy; `seen` is shared by all copies of a test, so that it can look inside."""

    def __init__(self, seen: dict[str, Any]) -> None:
        self.seen = seen
        self.crashed = anyio.Event()
        self.described: dict[str, str] = {}
        self.names = ["echo", "keep", "progress", "wait", "crash", "grow", "fail", "refuse", "huge", "danger"]
        self.names += ["turn"]
        self.kept: list[str] = []
        self._bus = InMemorySubscriptionBus()
        self.server: Server[Any] = Server(
            "demo",
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_subscriptions_listen=ListenHandler(self._bus),
        )

    async def _list(self, _ctx: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=name,
                    description=self.described.get(name, f"the tool {name}"),
                    input_schema=ANY_OBJECT,
                    annotations=types.ToolAnnotations(read_only_hint=name != "danger"),
                )
                for name in self.names
            ]
        )

    async def _call(self, ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        action: Callable[[Any, dict[str, Any]], Awaitable[types.CallToolResult]] = getattr(self, f"_{params.name}")
        return await action(ctx, params.arguments or {})

    async def _echo(self, _ctx: Any, arguments: dict[str, Any]) -> types.CallToolResult:
        return text(str(arguments.get("text", "")))

    async def _danger(self, _ctx: Any, _arguments: dict[str, Any]) -> types.CallToolResult:
        self.seen["danger"] = self.seen.get("danger", 0) + 1
        return text("done")

    async def _keep(self, _ctx: Any, arguments: dict[str, Any]) -> types.CallToolResult:
        self.kept.append(arguments["text"])
        return text(",".join(self.kept))

    async def _progress(self, ctx: Any, _arguments: dict[str, Any]) -> types.CallToolResult:
        for step in (1, 2, 3):
            await ctx.session.report_progress(step, 3, f"step {step}")
        return text("done")

    async def _wait(self, _ctx: Any, _arguments: dict[str, Any]) -> types.CallToolResult:
        self.seen["waiting"].set()
        try:
            await anyio.sleep_forever()
        finally:
            self.seen["wait ended"].set()
        return text("never")

    async def _crash(self, _ctx: Any, _arguments: dict[str, Any]) -> types.CallToolResult:
        self.crashed.set()
        await anyio.sleep_forever()
        return text("never")

    async def _turn(self, ctx: Any, arguments: dict[str, Any]) -> types.CallToolResult:
        """Describe a tool otherwise from now on."""
        self.described[arguments["tool"]] = arguments["text"]
        await self._bus.publish(ToolsListChanged())
        await ctx.session.send_tool_list_changed()
        return text("turned")

    async def _grow(self, ctx: Any, _arguments: dict[str, Any]) -> types.CallToolResult:
        self.names.append("grown")
        await self._bus.publish(ToolsListChanged())
        await ctx.session.send_tool_list_changed()
        return text("grown")

    async def _fail(self, _ctx: Any, _arguments: dict[str, Any]) -> types.CallToolResult:
        return text("the tool's own error", is_error=True)

    async def _refuse(self, _ctx: Any, _arguments: dict[str, Any]) -> types.CallToolResult:
        raise MCPError(-32099, "the server's own refusal", {"why": "test"})

    async def _huge(self, _ctx: Any, arguments: dict[str, Any]) -> types.CallToolResult:
        return text("x" * arguments["size"])

    async def run(self, process: FakeProcess) -> int:
        """The program: MCP over the process's standard streams, until it is killed or crashes."""

        async def serve(inbox: Any, outbox: Any) -> None:
            options = self.server.create_initialization_options(NotificationOptions(tools_changed=True))
            await self.server.run(inbox, outbox, options)

        await run_program(process, serve, self.crashed)
        return 3


def demo_program(seen: dict[str, Any]) -> Callable[[FakeProcess], Awaitable[int]]:
    """For `FakeBackend(programs={...})`: a new copy for each sandbox."""

    async def program(process: FakeProcess) -> int:
        return await DemoServer(seen).run(process)

    return program
