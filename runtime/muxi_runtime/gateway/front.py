"""The face to MCP clients: one SDK server that speaks both protocol eras and turns requests into calls at the door.

Above: `http`, which mounts it at `/mcp` and `/mcp/<server>`. Below: `call.Door` and `tools.ToolBook`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.streamable_http_manager import DEFAULT_MAX_SESSIONS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from muxi_runtime import __version__
from muxi_runtime.errors import LoginNeededError, MuxiError, ToolBlockedError, UnknownToolError
from muxi_runtime.gateway.beside_tools import CACHEABLE, BesideTools
from muxi_runtime.gateway.caller import CallRequest
from muxi_runtime.gateway.client_news import News
from muxi_runtime.gateway.held import HELD, HeldCall, HeldCalls
from muxi_runtime.gateway.mcp_caller import AnswerNeededError, McpCaller, PendingQuestions
from muxi_runtime.gateway.request_facts import ASKED_SERVER, client_of, meta_of, origin_of, server_of, session_of
from muxi_runtime.gateway.running_calls import RunningCalls, running_call_of
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
    from muxi_runtime.gateway.caller import Caller, Origin
    from muxi_runtime.gateway.login_asking import LoginAsking
    from muxi_runtime.gateway.offers import OfferBook

__all__ = ["Front", "Wish"]

logger = logging.getLogger(__name__)

INSTRUCTIONS = (
    "Every tool runs in a sandbox of its own, made for one task, without a network but for hosts that the operator "
    "named for its server. Sandboxes of one task share the folder /workspace. Tools are called SERVER__TOOL. Use "
    "muxi__task_new for a separate, empty task. Where tools_search is all that is listed, find tools by it."
)
MAX_SESSIONS = DEFAULT_MAX_SESSIONS


@dataclass(frozen=True, slots=True)
class Wish:
    """A tool call in the client's words.

    Attributes:
        name: of the tool, as listed where the client asked.
        origin: what tells the task that it is for.
    """

    name: str
    arguments: Mapping[str, Any]
    origin: Origin


class _DualEraServer(Server[Any]):
    """Announces list changes in the legacy era too; the SDK's HTTP path takes its options from here."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        options = notification_options or NotificationOptions(
            tools_changed=True, prompts_changed=True, resources_changed=True
        )
        return super().create_initialization_options(options, experimental_capabilities, extensions)


class Front:
    """Lists tools, takes calls, tells of list changes."""

    def __init__(
        self,
        *,
        door: Door,
        tools: ToolBook,
        offers: OfferBook,
        question_seconds: float,
        mode: Mode = "all",
        logins: LoginAsking | None = None,
    ) -> None:
        self.door = door
        self._tools = tools
        self._search = ToolSearch(tools)
        self._mode = mode
        self._logins = logins
        self._questions = PendingQuestions(question_seconds)
        self.held = HeldCalls(question_seconds)
        self.running = RunningCalls()
        self.levels: dict[str, str] = {}
        self.sessions: OrderedDict[str, ServerSession] = OrderedDict()
        self._news = News(self.sessions, self.forget_session)
        tools.on_change(lambda: self._news.note("tools"))
        offers.on_change(self._news.note)
        beside = BesideTools(self, offers, self._news)
        self._on_forgotten = beside.forget_session
        self.server: Server[Any] = _DualEraServer(
            "muxi-runtime",
            version=__version__,
            title="muxi-runtime",
            instructions=INSTRUCTIONS,
            # Our list changes with policy and pins, and tells so: nobody else may keep it.
            cache_hints=dict.fromkeys(("tools/list", *CACHEABLE), CacheHint(ttl_ms=0, scope="private")),
            on_subscriptions_listen=beside.listen,
            get_tool_input_schema=self._input_schema,
        )
        # Raw results: typed ones would drop fields that the SDK does not know.
        self.server.add_request_handler("tools/list", types.PaginatedRequestParams, self._list_tools)
        self.server.add_request_handler("tools/call", types.CallToolRequestParams, self._call_tool)
        beside.register(self.server)
        self.server.middleware.append(self._remember_session)
        self.server.middleware.append(self._questions.boundary())

    async def run(self) -> None:
        """Tell clients of news, make calls that may be held, hand over calls that take long; runs for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._news.tell)
            group.start_soon(self.held.run)
            group.start_soon(self.running.watch)

    def forget_session(self, session: str) -> None:
        """A legacy session ended."""
        self.sessions.pop(session, None)
        self.levels.pop(session, None)
        self._on_forgotten(session)

    def used_session(self, session: str) -> ServerSession:
        """A legacy session that there is; it is the last to be forgotten now."""
        self.sessions.move_to_end(session)
        return self.sessions[session]

    async def _remember_session(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        session = session_of(ctx.request)
        # In the modern era the header means nothing, and nobody has looked whose it is.
        if session is not None and ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            self.sessions[session] = ctx.session
            self.used_session(session)
            # One that ends without a word is not told of: what is kept of such sessions stays bounded.
            if len(self.sessions) > MAX_SESSIONS:
                self.forget_session(next(iter(self.sessions)))
        return await call_next(ctx)

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """For the SDK's check of parameter headers."""
        try:
            return self._tools.find(*_full(name, ASKED_SERVER.get())).definition.get("inputSchema")
        except (UnknownToolError, ToolBlockedError):
            return None

    async def _list_tools(
        self, ctx: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams | None
    ) -> dict[str, Any]:
        return self.listed(ctx.request)

    def on_tools_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change of what is listed."""
        self._tools.on_change(listener)

    def list_key(self, request: Request | None) -> tuple[str | None, str]:
        """What decides, beside the tools that there are, what `listed` gives."""
        return server_of(request), mode_of(request, self._mode)

    def listed(self, request: Request | None) -> dict[str, Any]:
        """The tools that a request's path and mode ask for, as the result of `tools/list`."""
        only, mode = self.list_key(request)
        if mode == "search":
            return {"resultType": "complete", "tools": self._search.definitions(only)}
        listed: list[dict[str, Any]] = []
        for name, server in self._tools.servers.items():
            if only in (None, name):
                listed += [_listed(tool, prefixed=only is None) for tool in server.tools.values()]
        return {"resultType": "complete", "tools": listed}

    def mirrors_arguments(self, name: str, request: Request | None) -> bool:
        """Whether the tool wants headers that repeat arguments; the SDK holds the one to the other."""
        try:
            return self._tools.find(*_full(name, server_of(request))).mirrors_arguments
        except (UnknownToolError, ToolBlockedError):
            return False

    async def _call_tool(
        self, ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> dict[str, Any]:
        running = running_call_of(ctx.request)
        if running is not None:
            return await running.adopt(self.caller(ctx))
        wish = Wish(params.name, params.arguments or {}, origin_of(meta_of(ctx), client_of(ctx), ctx.request))
        if self._searches(wish, ctx.request):
            return self._found(wish, ctx.request)
        return await self.with_client(ctx, lambda: self._tool_call(wish, ctx.request))

    async def call(self, wish: Wish, request: Request | None, caller: Caller) -> dict[str, Any]:
        """Make a tool call at the door; its result as JSON values.

        Raises:
            as `at_door`.
        """
        if self._searches(wish, request):
            return self._found(wish, request)
        return await self.at_door(lambda: self._tool_call(wish, request), caller)

    def _searches(self, wish: Wish, request: Request | None) -> bool:
        return wish.name == SEARCH and mode_of(request, self._mode) == "search"

    def _found(self, wish: Wish, request: Request | None) -> dict[str, Any]:
        try:
            return {"resultType": "complete", **self._search.search(wish.arguments, server_of(request))}
        except MuxiError as error:
            raise to_wire(error) from error

    def _tool_call(self, wish: Wish, request: Request | None) -> CallRequest:
        name, arguments = wish.name, wish.arguments
        if name == CALL and mode_of(request, self._mode) == "search":
            name, arguments = self._search.unwrapped(arguments)
        server, tool = _full(name, server_of(request))
        return CallRequest(server, tool, arguments, wish.origin)

    async def with_client(
        self, ctx: ServerRequestContext[Any, Any], asked: Callable[[], CallRequest]
    ) -> dict[str, Any]:
        """Make a call at the door for the client of a request, who may be asked in the way of its era.

        Raises:
            MCPError: it failed, in the words that the client gets.
        """
        caller = self.caller(ctx)
        try:
            if caller.may_be_held:
                return await self._with_modern_client(caller, ctx, asked)
            return await self.at_door(asked, caller)
        except AnswerNeededError as needed:
            return needed.result
        except (MuxiError, SandboxError) as error:
            raise to_wire(error) from error

    def caller(self, ctx: ServerRequestContext[Any, Any]) -> McpCaller:
        """The client of a request."""
        session = session_of(ctx.request)
        return McpCaller(ctx, self._questions, log_level=self.levels.get(session) if session else None)

    async def _with_modern_client(
        self, caller: McpCaller, ctx: ServerRequestContext[Any, Any], asked: Callable[[], CallRequest]
    ) -> dict[str, Any]:
        """Make the call where it can be held, or go on with the one that the client comes back to."""
        if caller.handle is not None:
            held = self.held.take(caller.handle)
            if held is None or not isinstance(held.caller, McpCaller):
                raise MCPError(
                    types.INVALID_PARAMS, "Invalid or expired requestState", {"reason": "invalid_request_state"}
                )
            held.caller.come_back(ctx)
            held.give(held.caller.brought)
        else:

            async def call(held: HeldCall) -> dict[str, Any]:
                caller.held = held
                return await self.at_door(asked, caller)

            held = self.held.start(call, caller)
        result = await held.next()
        if result is not None:
            return result
        held.caller.leave()
        raise AnswerNeededError(held.questions, {HELD: self.held.put(held)})

    async def _call_or_log_in(self, request: CallRequest, caller: Caller) -> dict[str, Any]:
        async def call() -> dict[str, Any]:
            return {"resultType": "complete", **await self.door.call(request, caller)}

        try:
            return await call()
        except LoginNeededError as needed:
            if self._logins is None:
                raise
            return await self._logins.answer(needed, caller, call)

    async def at_door(self, asked: Callable[[], CallRequest], caller: Caller) -> dict[str, Any]:
        """Make a call at the door; its result as JSON values.

        Raises:
            MCPError: it failed, in the words that the client gets.
            AnswerNeededError: the client has to come back with an answer.
        """
        request: CallRequest | None = None
        try:
            request = asked()
            return await self._call_or_log_in(request, caller)
        except (MuxiError, SandboxError) as error:
            raise to_wire(error) from error
        except (MCPError, AnswerNeededError):
            raise
        except Exception as error:  # the last boundary: a fault of ours must not look like a tool's result
            logger.exception("a call of %r failed inside the runtime", request.tool if request else "")
            raise MCPError(
                types.INTERNAL_ERROR,
                "The runtime failed at this call; its log has the details.",
                {"kind": "internal"},
            ) from error


def _full(name: str, only: str | None) -> tuple[str, str]:
    return (only, name) if only is not None else split_name(name)


def _listed(tool: Tool, *, prefixed: bool) -> dict[str, Any]:
    return {**tool.shown, "name": tool.full_name if prefixed else tool.name}
