"""The MCP session with the server inside a sandbox.

Above: the pool, which opens one over each sandbox that it makes, ahead of its task or for it, and `owner`, which takes
them from there. Below: `Sandbox`, and the SDK's client (the only place that uses it towards servers). The SDK's and the
sandbox's errors become ours here.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.methods import validate_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict

from muxi_runtime import __version__
from muxi_runtime.errors import ForwardedError, ServerError, sole_error
from muxi_runtime.gateway.notes import with_limits
from muxi_runtime.gateway.sandbox_transport import SandboxTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from mcp.shared.dispatcher import ProgressFnT

    from muxi_sandbox.contract import Backend, Sandbox, Spec

__all__ = ["Eras", "RawResult", "Upstream", "open_session", "open_upstream"]

logger = logging.getLogger(__name__)

CHECK_SECONDS = 30
LISTEN_SECONDS = 1
"""How long calls wait for a server to say that it will tell of changes: one made before that would be missed."""
LIST_PAGES = 100
"""Most pages of one tool list: a server that pages for ever is cut off."""
CLIENT_INFO = {"name": "muxi-runtime", "version": __version__}


class RawResult(types.Result):
    """Any result, with every field that the server sent: typed models would drop what they do not know."""

    model_config = ConfigDict(extra="allow")

    def wire(self) -> dict[str, Any]:
        """As JSON values, names as on the wire, without what one hop says of itself."""
        return _own(self.model_dump(mode="json", by_alias=True, exclude_none=True))


class Eras:
    """What each server answered to `server/discover`, by server name: asking again costs a round trip."""

    def __init__(self) -> None:
        self._known: dict[str, types.DiscoverResult | None] = {}

    def options(self, server: str) -> dict[str, Any]:
        """Arguments for `mcp.Client`."""
        if server not in self._known:
            return {"mode": "auto"}
        discovered = self._known[server]
        if discovered is None:
            return {"mode": "legacy"}
        return {"mode": discovered.supported_versions[-1], "prior_discover": discovered}

    def remember(self, server: str, discovered: types.DiscoverResult | None) -> None:
        """Keep the answer; `None` for a server of the legacy era."""
        self._known[server] = discovered

    def forget(self, server: str) -> None:
        """Ask again next time: the server may have changed."""
        self._known.pop(server, None)


class Upstream:
    """A live session. Usable inside `open_session` only.

    Attributes:
        on_tools_changed: called when the server says that its list is another one now; set by who uses the session.
    """

    def __init__(self, sandbox: Sandbox, transport: SandboxTransport, client: Client) -> None:
        self.sandbox = sandbox
        self.on_tools_changed: Callable[[], Coroutine[Any, Any, None]] = _nobody_listens
        self._transport = transport
        self._client = client

    @cached_property
    def _envelope(self) -> dict[str, Any]:
        """What each request of the modern era says of its sender; nothing in the legacy one, whose handshake did."""
        version = self._client.protocol_version
        if version not in MODERN_PROTOCOL_VERSIONS:
            return {}
        return {
            "_meta": {
                types.PROTOCOL_VERSION_META_KEY: version,
                types.CLIENT_INFO_META_KEY: CLIENT_INFO,
                types.CLIENT_CAPABILITIES_META_KEY: {},
            }
        }

    @property
    def name(self) -> str:
        """The server's name."""
        return self.sandbox.spec.server

    @property
    def ended(self) -> anyio.Event:
        """Set when the sandbox can no longer be used; `failure` then says why."""
        return self._transport.ended

    @property
    def failure(self) -> Exception | None:
        """Why the sandbox ended."""
        return self._transport.failure

    async def check(self) -> None:
        """Have the server answer once: with the past answer to `server/discover` no handshake was made yet.

        Raises:
            SandboxError: the sandbox ended.
            ServerError: it does not answer.
        """
        await self.list_tools(seconds=CHECK_SECONDS)

    async def call_tool(
        self, tool: str, arguments: Mapping[str, Any], *, seconds: float, progress: ProgressFnT | None
    ) -> dict[str, Any]:
        """The result as it came over the wire (`content`, `isError`, ...), with the limits that were reached.

        `seconds` is the gateway's limit; the server's own `call_seconds` may be shorter.

        Raises:
            SandboxError: the sandbox ended in mid-call.
            ServerError: the server did not answer in time, or not as MCP says.
            ForwardedError: the server refused with a JSON-RPC error of its own.
        """
        limits = self.sandbox.spec.limits
        seconds = min(seconds, limits.call_seconds)
        params: dict[str, Any] = {"name": tool, "arguments": arguments, **self._envelope}
        requests, version = self._transport.requests, self._client.protocol_version
        try:
            result = await requests.ask("tools/call", params, seconds=seconds, progress=progress)
            validate_server_result("tools/call", version, result)
            if version not in MODERN_PROTOCOL_VERSIONS:
                result.pop("resultType", None)  # a word of the modern era only
        except TimeoutError as error:
            raise self._late(f"call of {tool!r}", seconds) from error
        except (ServerError, ValueError) as error:  # the latter pydantic's: a result that is none
            raise ServerError(
                f"Server {self.name!r} answered the call of {tool!r} with something that is no result."
            ) from error
        return with_limits(_own(result), self.sandbox.limits_hit(), limits, self.name)

    async def list_tools(self, *, seconds: float) -> list[dict[str, Any]]:
        """The definitions of all tools, as they came over the wire.

        Raises:
            SandboxError: the sandbox ended.
            ServerError: the server did not answer in time, or not as MCP says, or without end.
        """
        tools: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(LIST_PAGES):
            request = types.ListToolsRequest(params=types.PaginatedRequestParams(cursor=cursor))
            try:
                page = await self._client.session.send_request(request, RawResult, request_read_timeout_seconds=seconds)
            except MCPError as error:
                raise self._translate(error, "tool list", seconds) from error
            except ValueError as error:
                raise ServerError(f"Server {self.name!r} sent a tool list that is none: {error}") from error
            wire = page.wire()
            tools += wire.get("tools", [])
            cursor = wire.get("nextCursor")
            if cursor is None:
                return tools
        raise ServerError(f"Server {self.name!r} sent more than {LIST_PAGES} pages of tools.")

    def _translate(self, error: MCPError, what: str, seconds: float) -> Exception:
        if self._transport.failure is not None:
            return self._transport.failure
        if error.code == types.REQUEST_TIMEOUT:
            return self._late(what, seconds)
        return ForwardedError(error.message, code=error.code, data=error.data)

    def _late(self, what: str, seconds: float) -> ServerError:
        return ServerError(
            f"Server {self.name!r} did not answer the {what} within {seconds:g} s; the call was cancelled.",
            remedy=f"A longer time is set by gateway.call_seconds and servers.{self.name}.limits.call_seconds.",
        )


@asynccontextmanager
async def open_upstream(
    backend: Backend,
    spec: Spec,
    *,
    eras: Eras,
    handshake_seconds: float,
) -> AsyncIterator[Upstream]:
    """A sandbox made for this block, with its session. Enter and leave in one and the same task.

    Raises:
        SandboxError: no sandbox, or it ended before it answered.
        ServerError: the program inside did not speak MCP in time.
    """
    async with (
        backend.lease(spec) as lease,
        open_session(lease.sandbox, eras=eras, handshake_seconds=handshake_seconds) as upstream,
    ):
        yield upstream


@asynccontextmanager
async def open_session(
    sandbox: Sandbox, *, eras: Eras, handshake_seconds: float, adopted: bool = False
) -> AsyncIterator[Upstream]:
    """Shake hands with the server inside. Enter and leave in one and the same task.

    `adopted`: another session was there before this one, whose answers may still come.

    Raises:
        SandboxError: the sandbox ended before it answered.
        ServerError: the program inside did not speak MCP in time.
    """
    try:
        async with AsyncExitStack() as stack:
            transport = SandboxTransport(sandbox, mark=secrets.token_hex(4) if adopted else "")
            news = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(news.cancel_scope.cancel)
            upstream: Upstream

            async def on_message(message: object) -> None:
                if isinstance(message, types.ToolListChangedNotification):
                    # Not awaited: the answer to a new list comes by way of whoever delivers this message.
                    news.start_soon(upstream.on_tools_changed)

            client = Client(
                transport.connect(),
                cache=None,
                message_handler=on_message,
                read_timeout_seconds=handshake_seconds,
                client_info=types.Implementation.model_validate(CLIENT_INFO),
                **eras.options(sandbox.spec.server),
            )
            upstream = Upstream(sandbox, transport, client)
            await _shake_hands(stack, client, transport, sandbox, eras)
            if _announces_changes(client):
                listens = anyio.Event()
                news.start_soon(_listen, client, upstream, listens)
                with anyio.move_on_after(LISTEN_SECONDS):
                    await listens.wait()
            yield upstream
    except BaseExceptionGroup as group:
        # Task groups, the SDK's too, wrap whatever passes through them.
        raise sole_error(group) or group from group


def _own(result: dict[str, Any]) -> dict[str, Any]:
    """Without what one hop says of itself."""
    if isinstance(meta := result.get("_meta"), dict):
        meta.pop(types.SERVER_INFO_META_KEY, None)
        if not meta:
            del result["_meta"]
    return result


async def _nobody_listens() -> None:
    """Before anybody uses the session, and where its list is asked for anyway."""


async def _shake_hands(
    stack: AsyncExitStack, client: Client, transport: SandboxTransport, sandbox: Sandbox, eras: Eras
) -> None:
    server = sandbox.spec.server
    try:
        await stack.enter_async_context(client)
    except (MCPError, ValueError, ExceptionGroup) as error:
        # The SDK's task group may wrap its own error on the way out; any other is not of the handshake.
        if isinstance(error, ExceptionGroup) and error.split((MCPError, ValueError))[1] is not None:
            raise
        eras.forget(server)
        raise transport.failure or ServerError(
            f"Server {server!r} started but did not complete the MCP handshake: {error}",
            remedy=f"Its standard error ends with: {sandbox.stderr_tail()[-500:] or '(nothing)'}",
        ) from error
    eras.remember(server, client.session.discover_result)


def _announces_changes(client: Client) -> bool:
    """Whether a modern server would tell of changes, if it is asked to; a legacy one tells unasked."""
    tools = client.server_capabilities.tools
    return client.session.discover_result is not None and tools is not None and bool(tools.list_changed)


async def _listen(client: Client, upstream: Upstream, listens: anyio.Event) -> None:
    """A modern server tells of changes only on a stream that was asked for. Losing it costs news, not calls."""
    try:
        async with client.listen(tools_list_changed=True) as events:
            listens.set()
            async for _ in events:
                await upstream.on_tools_changed()
    except (MCPError, SubscriptionLost, TimeoutError) as error:
        logger.info("a server ended its stream of list changes: %s", error)
    finally:
        listens.set()
