"""The face to MCP clients: one SDK server that speaks both protocol eras and turns requests into calls at the door.

Above: `http`, which mounts it at `/mcp` and `/mcp/<server>`. Below: `call.Door` and `tools.ToolBook`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.streamable_http_manager import DEFAULT_MAX_SESSIONS
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

from muxi_runtime import __version__
from muxi_runtime.errors import MuxiError, UnknownToolError
from muxi_runtime.gateway.beside_tools import CACHEABLE, offer_nothing_beside_tools
from muxi_runtime.gateway.caller import CallRequest, Origin
from muxi_runtime.gateway.mcp_caller import AnswerNeededError, McpCaller, PendingQuestions
from muxi_runtime.gateway.tool_search import CALL, SEARCH, Mode, ToolSearch, mode_of
from muxi_runtime.gateway.tools import Tool, ToolBook, split_name
from muxi_runtime.gateway.wire_errors import to_wire
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.models import InitializationOptions
    from mcp.server.session import ServerSession
    from starlette.requests import Request

    from muxi_runtime.gateway.call import Door
    from muxi_runtime.gateway.caller import Caller

__all__ = ["Front", "Wish"]

logger = logging.getLogger(__name__)

INSTRUCTIONS = (
    "Every tool runs in a sandbox of its own, made for one task, without a network but for hosts that the operator "
    "named for its server. Sandboxes of one task share the folder /workspace. Tools are called SERVER__TOOL. Use "
    "muxi__task_new for a separate, empty task. Where tools_search is all that is listed, find tools by it."
)
META_TASK = "muxi/task"
MAX_SESSIONS = DEFAULT_MAX_SESSIONS
SESSION_HEADER = "mcp-session-id"
TASK_HEADER = "muxi-task"


@dataclass(frozen=True, slots=True)
class Wish:
    """A tool call in the client's words.

    Attributes:
        name: of the tool, as listed where the client asked.
        meta: the request's `_meta`.
        client: what it calls itself.
    """

    name: str
    arguments: Mapping[str, Any]
    meta: Mapping[str, Any]
    client: str


class _DualEraServer(Server[Any]):
    """Announces list changes in the legacy era too; the SDK's HTTP path takes its options from here."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        options = notification_options or NotificationOptions(tools_changed=True)
        return super().create_initialization_options(options, experimental_capabilities, extensions)


class Front:
    """Lists tools, takes calls, tells of list changes."""

    def __init__(self, *, door: Door, tools: ToolBook, question_seconds: float, mode: Mode = "all") -> None:
        self._door = door
        self._tools = tools
        self._search = ToolSearch(tools)
        self._mode = mode
        self._questions = PendingQuestions(question_seconds)
        self._bus = InMemorySubscriptionBus()
        self._sessions: OrderedDict[str, ServerSession] = OrderedDict()
        self._changed = anyio.Event()
        tools.on_change(self._note_change)
        self.server: Server[Any] = _DualEraServer(
            "muxi-runtime",
            version=__version__,
            title="muxi-runtime",
            instructions=INSTRUCTIONS,
            # Our list changes with policy and pins, and tells so: nobody else may keep it.
            cache_hints=dict.fromkeys(("tools/list", *CACHEABLE), CacheHint(ttl_ms=0, scope="private")),
            on_subscriptions_listen=ListenHandler(self._bus),
            get_tool_input_schema=self._input_schema,
        )
        # Raw results: typed ones would drop fields that the SDK does not know.
        self.server.add_request_handler("tools/list", types.PaginatedRequestParams, self._list_tools)
        self.server.add_request_handler("tools/call", types.CallToolRequestParams, self._call_tool)
        offer_nothing_beside_tools(self.server)
        self.server.middleware.append(self._remember_session)
        self.server.middleware.append(self._questions.boundary())

    def _note_change(self) -> None:
        self._changed.set()

    async def tell_changes(self) -> None:
        """Notify every connected client each time the tool list has become another one; runs for ever."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self._bus.publish(ToolsListChanged())
            for name, session in list(self._sessions.items()):
                try:
                    await session.send_tool_list_changed()
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    self.forget_session(name)

    def forget_session(self, session: str) -> None:
        """A legacy session ended."""
        self._sessions.pop(session, None)

    async def _remember_session(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        session = ctx.request.headers.get(SESSION_HEADER) if ctx.request is not None else None
        if session is not None:
            self._sessions[session] = ctx.session
            self._sessions.move_to_end(session)
            # One that ends without a word is not told of: what is kept of such sessions stays bounded.
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return await call_next(ctx)

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """For the SDK's check of parameter headers, which knows no path: prefixed names only."""
        try:
            return self._tools.find(*split_name(name)).definition.get("inputSchema")
        except UnknownToolError:
            return None

    async def _list_tools(
        self, ctx: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams | None
    ) -> dict[str, Any]:
        only = _server_of(ctx.request)
        if mode_of(ctx.request, self._mode) == "search":
            return {"resultType": "complete", "tools": self._search.definitions(only)}
        listed: list[dict[str, Any]] = []
        for name, server in self._tools.servers.items():
            if only in (None, name):
                listed += [_listed(tool, prefixed=only is None) for tool in server.tools.values()]
        return {"resultType": "complete", "tools": listed}

    def mirrors_arguments(self, name: str) -> bool:
        """Whether the tool wants headers that repeat arguments; the SDK holds the one to the other."""
        try:
            return self._tools.find(*split_name(name)).mirrors_arguments
        except UnknownToolError:
            return False

    async def _call_tool(
        self, ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> dict[str, Any] | types.InputRequiredResult:
        caller = McpCaller(ctx, params, self._questions)
        meta = (ctx.params or {}).get("_meta")
        info = ctx.session.client_params.client_info if ctx.session.client_params else None
        wish = Wish(
            params.name, params.arguments or {}, meta if isinstance(meta, dict) else {}, info.name if info else ""
        )
        try:
            return await self.call(wish, ctx.request, caller)
        except AnswerNeededError as needed:
            return needed.result

    async def call(self, wish: Wish, request: Request | None, caller: Caller) -> dict[str, Any]:
        """Make a call at the door; its result as JSON values.

        Raises:
            MCPError: it failed, in the words that the client gets.
            AnswerNeededError: the client has to come back with an answer.
        """
        try:
            only = _server_of(request)
            name, arguments = wish.name, wish.arguments
            if name in (SEARCH, CALL) and mode_of(request, self._mode) == "search":
                if name == SEARCH:
                    return {"resultType": "complete", **self._search.search(arguments, only)}
                name, arguments = self._search.unwrapped(arguments)
            server, tool = (only, name) if only is not None else split_name(name)
            asked = CallRequest(server, tool, arguments, _origin(wish, request))
            return {"resultType": "complete", **await self._door.call(asked, caller)}
        except (MuxiError, SandboxError) as error:
            raise to_wire(error) from error
        except (MCPError, AnswerNeededError):
            raise
        except Exception as error:  # the last boundary: a fault of ours must not look like a tool's result
            logger.exception("a call of %r failed inside the runtime", wish.name)
            raise MCPError(
                types.INTERNAL_ERROR,
                "The runtime failed at this call; its log has the details.",
                {"kind": "internal"},
            ) from error


def _listed(tool: Tool, *, prefixed: bool) -> dict[str, Any]:
    return {**tool.definition, "name": tool.full_name if prefixed else tool.name}


def _server_of(request: Request | None) -> str | None:
    """The one server that the client asked for by its path, `None` for all."""
    return request.path_params.get("server") if request is not None else None


def _origin(wish: Wish, request: Request | None) -> Origin:
    task = wish.meta.get(META_TASK)
    headers = request.headers if request is not None else {}
    return Origin(
        task=task if isinstance(task, str) else headers.get(TASK_HEADER),
        session=headers.get(SESSION_HEADER),
        client=wish.client[:100],
    )
