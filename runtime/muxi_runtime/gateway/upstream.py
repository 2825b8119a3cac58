"""The MCP session with the server inside a sandbox.

Above: the pool, which opens one over each sandbox that it makes, ahead of its task or for it, and `owner`, which takes
them from there. Below: `Sandbox`, and the SDK's client (the only place that uses it towards servers). The SDK's and the
sandbox's errors become ours here.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp_types.methods import is_input_required, validate_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict

from muxi_runtime import __version__
from muxi_runtime.errors import ForwardedError, ServerError, sole_error
from muxi_runtime.gateway.caller import ASKABLE
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.notes import with_limits
from muxi_runtime.gateway.requests import Turn
from muxi_runtime.gateway.sandbox_transport import SandboxTransport
from muxi_runtime.gateway.server_news import Watches, listen_for_news

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from muxi_runtime.gateway.caller import Caller, Inputs
    from muxi_runtime.gateway.requests import Told
    from muxi_sandbox.contract import Backend, Sandbox, Spec

__all__ = ["RawResult", "Upstream", "open_session", "open_upstream"]

logger = logging.getLogger(__name__)

CHECK_SECONDS = 30
LISTEN_SECONDS = 1
"""How long calls wait for a server to say that it will tell of changes: one made before that would be missed."""
LIST_PAGES = 100
"""Most pages of one list: a server that pages for ever is cut off."""
LIST_REQUESTS: dict[str, type[Any]] = {
    "tools/list": types.ListToolsRequest,
    "prompts/list": types.ListPromptsRequest,
    "resources/list": types.ListResourcesRequest,
    "resources/templates/list": types.ListResourceTemplatesRequest,
}
CHANGES: dict[type[Any], str] = {
    types.ToolListChangedNotification: "tools",
    types.PromptListChangedNotification: "prompts",
    types.ResourceListChangedNotification: "resources",
}
CLIENT_INFO = {"name": "muxi-runtime", "version": __version__}


class RawResult(types.Result):
    """Any result, with every field that the server sent: typed models would drop what they do not know."""

    model_config = ConfigDict(extra="allow")

    def wire(self) -> dict[str, Any]:
        """As JSON values, names as on the wire, without what one hop says of itself."""
        return _own(self.model_dump(mode="json", by_alias=True, exclude_none=True))


class Upstream:
    """A live session. Usable inside `open_session` only.

    Attributes:
        on_list_changed: called with `tools`, `prompts` or `resources` when the server says that this list is another
            one now; set by who uses the session.
        watches: who wants to know when a resource changes.
    """

    def __init__(self, sandbox: Sandbox, transport: SandboxTransport, client: Client, eras: Eras) -> None:
        self.sandbox = sandbox
        self.on_list_changed: Callable[[str], Coroutine[Any, Any, None]] = _nobody_listens
        self.watches = Watches()
        self._transport = transport
        self._client = client
        self._eras = eras
        self._gate = anyio.Semaphore(1)
        self._level: str | None = None
        transport.requests.on_question = partial(eras.note_that_it_asks, sandbox.spec.server)

    @cached_property
    def is_modern(self) -> bool:
        """Whether it speaks 2026-07-28 or later."""
        return self._client.protocol_version in MODERN_PROTOCOL_VERSIONS

    def _envelope(self, caller: Caller | None) -> dict[str, Any]:
        """What each request of the modern era says of its sender; nothing in the legacy one, whose handshake did."""
        if not self.is_modern:
            return {}
        able = caller.capabilities if caller is not None else {}
        meta = {
            types.PROTOCOL_VERSION_META_KEY: self._client.protocol_version,
            types.CLIENT_INFO_META_KEY: CLIENT_INFO,
            types.CLIENT_CAPABILITIES_META_KEY: {key: able[key] for key in ASKABLE.values() if key in able},
        }
        if caller is not None and caller.log_level is not None:
            meta[types.LOG_LEVEL_META_KEY] = caller.log_level
        return {"_meta": meta}

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

    def with_limits(self, result: dict[str, Any]) -> dict[str, Any]:
        """A tool's result with the limits that its programs ran into."""
        return with_limits(result, self.sandbox.limits_hit(), self.sandbox.spec.limits, self.name)

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        seconds: float,
        caller: Caller,
        inputs: Inputs | None = None,
        told: Told | None = None,
    ) -> dict[str, Any]:
        """The result as it came over the wire. Of a modern server it may be one that asks for input.

        `seconds` is the gateway's limit; the server's own `call_seconds` may be shorter. `told` hears what a legacy
        server asks, before its caller does.

        Raises:
            SandboxError: the sandbox ended in mid-call.
            ServerError: the server did not answer in time, or not as MCP says.
            ForwardedError: the server refused with a JSON-RPC error of its own.
        """
        if method == "resources/unsubscribe" and (self.is_modern or not self.watches.is_first(str(params["uri"]))):
            return {}  # the modern era has no such request, and others may still watch
        seconds = min(seconds, self.sandbox.spec.limits.call_seconds)
        what = f"call of {params['name']!r}" if method == "tools/call" else f"request {method!r}"
        params = {**params, **self._envelope(caller)}
        if self.is_modern:
            params |= _brought(inputs or caller.inputs)
        else:
            await self._set_level(caller)
        requests, version = self._transport.requests, self._client.protocol_version
        try:
            async with self._turn_of(caller) as turn:
                result = await requests.ask(method, params, seconds=seconds, caller=caller, turn=turn, told=told)
            if self.is_modern:
                result.setdefault("resultType", "complete")  # what the protocol has clients take it for
            validate_server_result(method, version, result)
        except TimeoutError as error:
            raise self._late(what, seconds) from error
        except (ServerError, ValueError) as error:  # the latter pydantic's: a result that is none
            raise ServerError(f"Server {self.name!r} answered the {what} with something that is no result.") from error
        if not is_input_required(result) or not self.is_modern:
            result.pop("resultType", None)  # the front says that in its own era's words
        return _own(result)

    @asynccontextmanager
    async def _turn_of(self, caller: Caller) -> AsyncIterator[Turn | None]:
        """A legacy server's question names no call: where it asks, only one call that can be asked runs at a time."""
        if self.is_modern or not self._eras.asks(self.name) or not caller.capabilities.keys() & set(ASKABLE.values()):
            yield None
            return
        turn = Turn(self._gate)
        await turn.take()
        try:
            yield turn
        finally:
            turn.leave()

    async def _set_level(self, caller: Caller) -> None:
        """Have a legacy server log from the level on that its caller wants; it keeps to it until the next one."""
        level = caller.log_level
        if level in (None, self._level) or self._client.server_capabilities.logging is None:
            return
        self._level = level
        with suppress(ForwardedError, TimeoutError):
            await self._transport.requests.ask("logging/setLevel", {"level": level}, seconds=CHECK_SECONDS)

    async def watch(self, uri: str, told: Callable[[], None], *, seconds: float, caller: Caller) -> Callable[[], None]:
        """Have `told` called whenever the server says that the resource is another one now.

        Returns what ends it. A server that can no longer be reached ends it too, without a word.

        Raises:
            as `request`.
        """
        if self.watches.is_first(uri) and not self.is_modern:
            await self.request("resources/subscribe", {"uri": uri}, seconds=seconds, caller=caller)
        end = self.watches.add(uri, told)
        if self.is_modern:
            with anyio.move_on_after(LISTEN_SECONDS):
                await self.watches.wait_heard(uri)
        return end

    def offers(self, kind: str) -> bool:
        """Whether the server says that it has `tools`, `prompts` or `resources` at all."""
        return getattr(self._client.server_capabilities, kind) is not None

    async def list_tools(self, *, seconds: float) -> list[dict[str, Any]]:
        """As `list_all` of tools."""
        return await self.list_all("tools/list", "tools", seconds=seconds)

    async def list_all(self, method: str, key: str, *, seconds: float) -> list[dict[str, Any]]:
        """All definitions that a list method gives below `key`, as they came over the wire.

        Raises:
            SandboxError: the sandbox ended.
            ServerError: the server did not answer in time, or not as MCP says, or without end.
        """
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        what = f"list of {key}"
        for _ in range(LIST_PAGES):
            request = LIST_REQUESTS[method](params=types.PaginatedRequestParams(cursor=cursor))
            try:
                page = await self._client.session.send_request(request, RawResult, request_read_timeout_seconds=seconds)
            except MCPError as error:
                raise self._translate(error, what, seconds) from error
            except ValueError as error:
                raise ServerError(f"Server {self.name!r} sent a {what} that is none: {error}") from error
            wire = page.wire()
            found += wire.get(key, [])
            cursor = wire.get("nextCursor")
            if cursor is None:
                return found
        raise ServerError(f"Server {self.name!r} sent more than {LIST_PAGES} pages of its {what}.")

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
                kind = CHANGES.get(type(message))
                if kind is not None:
                    # Not awaited: the answer to a new list comes by way of whoever delivers this message.
                    news.start_soon(upstream.on_list_changed, kind)
                elif isinstance(message, types.ResourceUpdatedNotification):
                    upstream.watches.tell(str(message.params.uri))

            client = Client(
                transport.connect(),
                cache=None,
                message_handler=on_message,
                read_timeout_seconds=handshake_seconds,
                client_info=types.Implementation.model_validate(CLIENT_INFO),
                # For the legacy handshake, before any caller is known: what a call asks goes past these, to its caller.
                elicitation_callback=_nobody_to_ask,
                sampling_callback=_nobody_to_ask,
                list_roots_callback=_nobody_to_ask,
                **eras.options(sandbox.spec.server),
            )
            upstream = Upstream(sandbox, transport, client, eras)
            await _shake_hands(stack, client, transport, sandbox, eras)
            if upstream.is_modern:
                listens = anyio.Event()
                news.start_soon(listen_for_news, client, upstream, listens)
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


async def _nobody_listens(_kind: str) -> None:
    """Before anybody uses the session, and where its list is asked for anyway."""


async def _nobody_to_ask(context: object, params: object = None) -> types.ErrorData:
    """A question outside of a call, or in one whose caller cannot answer it."""
    del context, params
    return types.ErrorData(
        code=types.INVALID_REQUEST, message="No call is running whose client could answer this; ask during a call."
    )


def _brought(inputs: Inputs) -> dict[str, Any]:
    responses = {"inputResponses": dict(inputs.responses)} if inputs.responses else {}
    return responses | ({"requestState": inputs.state} if inputs.state is not None else {})


async def _shake_hands(
    stack: AsyncExitStack, client: Client, transport: SandboxTransport, sandbox: Sandbox, eras: Eras
) -> None:
    server = sandbox.spec.server
    try:
        await stack.enter_async_context(client)
    except (MCPError, ValueError, BaseExceptionGroup) as error:
        reason = _handshake_error(error)
        if reason is None:
            raise
        eras.forget(server)
        raise transport.failure or ServerError(
            f"Server {server!r} started but did not complete the MCP handshake: {reason}",
            remedy=f"Its standard error ends with: {sandbox.stderr_tail()[-500:] or '(nothing)'}",
        ) from error
    eras.remember(server, client.session.discover_result)


def _handshake_error(error: BaseException) -> BaseException | None:
    """What went wrong with the handshake: the SDK's task groups may wrap it. `None` where something else did, too."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    known, other = error.split((MCPError, ValueError))
    first: BaseException | None = known
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if other is None else None
