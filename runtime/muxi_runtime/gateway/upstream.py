"""The MCP session with the server inside a sandbox.

Above: the pool, which opens one over each sandbox that it makes, ahead of its task or for it, and `owner`, which takes
them from there; `handshake` opens them. Below: `Sandbox`, and the SDK's client. The SDK's and the sandbox's errors
become ours here.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp_types.methods import SERVER_RESULTS, is_input_required
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict, TypeAdapter

from muxi_runtime import __version__
from muxi_runtime.errors import ForwardedError, ServerError
from muxi_runtime.gateway.caller import ASKABLE
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.notes import with_limits
from muxi_runtime.gateway.plain_results import is_of_texts
from muxi_runtime.gateway.requests import Turn
from muxi_runtime.gateway.sandbox_transport import SandboxTransport
from muxi_runtime.gateway.server_news import Watches
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from muxi_runtime.gateway.caller import Caller, Inputs
    from muxi_runtime.gateway.requests import Told
    from muxi_sandbox.contract import Sandbox

__all__ = ["RawResult", "Upstream"]

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
CLIENT_INFO = {"name": "muxi-runtime", "version": __version__}


FindRoots: TypeAlias = "Callable[[], Awaitable[types.ListRootsResult | types.ErrorData]]"


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
        find_roots: asks whoever said last that its roots changed for them; `None` before anybody did.
    """

    def __init__(self, sandbox: Sandbox, transport: SandboxTransport, client: Client, eras: Eras) -> None:
        self.sandbox = sandbox
        self.on_list_changed: Callable[[str], Coroutine[Any, Any, None]] = _nobody_listens
        self.watches = Watches()
        self.find_roots: FindRoots | None = None
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
        version = self._client.protocol_version
        try:
            result = await self._ask(method, params, seconds, caller, told)
            if self.is_modern:
                result.setdefault("resultType", "complete")  # what the protocol has clients take it for
            _check(method, version, result)
        except TimeoutError as error:
            raise self._late(what, seconds) from error
        except (ServerError, ValueError, ForwardedError) as error:  # ValueError is pydantic's: a result that is none
            # A body that is no message is told by the SDK as a parse error; a server that says so of ours is as broken.
            if isinstance(error, ForwardedError) and error.code != types.PARSE_ERROR:
                raise
            raise ServerError(f"Server {self.name!r} answered the {what} with something that is no result.") from error
        if not is_input_required(result) or not self.is_modern:
            result.pop("resultType", None)  # the front says that in its own era's words
        return _own(result)

    async def _ask(
        self, method: str, params: dict[str, Any], seconds: float, caller: Caller, told: Told | None
    ) -> dict[str, Any]:
        turn = await self._turn_of(caller)
        try:
            return await self._transport.requests.ask(
                method, params, seconds=seconds, caller=caller, turn=turn, told=told
            )
        finally:
            if turn is not None:
                turn.leave()

    async def _turn_of(self, caller: Caller) -> Turn | None:
        """A legacy server's question names no call: where it asks, only one call that can be asked runs at a time."""
        if self.is_modern or not self._eras.asks(self.name) or not caller.capabilities.keys() & set(ASKABLE.values()):
            return None
        turn = Turn(self._gate)
        await turn.take()
        return turn

    async def _set_level(self, caller: Caller) -> None:
        """Have a legacy server log from the level on that its caller wants; it keeps to it until the next one."""
        level = caller.log_level
        if level in (None, self._level) or self._client.server_capabilities.logging is None:
            return
        self._level = level
        with suppress(ForwardedError, TimeoutError):
            await self._transport.requests.ask("logging/setLevel", {"level": level}, seconds=CHECK_SECONDS)

    async def watch(
        self, uri: str, told: Callable[[], None], *, seconds: float, caller: Caller, asked: Told
    ) -> Callable[[], None]:
        """Have `told` called whenever the server says that the resource is another one now.

        Returns what ends it. `asked` hears of what the server asks the caller first. A server that can no longer be
        reached ends it too, without a word.

        Raises:
            as `request`.
        """
        if self.watches.is_first(uri) and not self.is_modern:
            await self.request("resources/subscribe", {"uri": uri}, seconds=seconds, caller=caller, told=asked)
        end = self.watches.add(uri, told)
        if self.is_modern:
            with anyio.move_on_after(LISTEN_SECONDS):
                await self.watches.wait_heard(uri)
        return end

    async def watch_again(self, watches: Watches) -> None:
        """Go on with what was watched in a session before this one.

        Never raises: whoever watches a resource that cannot be watched any more is told that it changed, and finds
        out by reading it.
        """
        before, self.watches = self.watches, watches
        before.stir()
        for uri in () if self.is_modern else watches.uris:
            try:
                await self._transport.requests.ask("resources/subscribe", {"uri": uri}, seconds=CHECK_SECONDS)
            except (ForwardedError, ServerError, SandboxError, TimeoutError) as error:
                logger.warning("%s does not watch %r any more: %s", self.name, uri[:200], error)
                watches.tell(uri)

    async def tell_roots_changed(self, find_roots: FindRoots) -> None:
        """Tell a legacy server that its client's roots changed. It may then ask for them at any time.

        Raises:
            SandboxError: the sandbox ended.
        """
        if self.is_modern:
            return  # has to ask in a call, where it is answered
        self.find_roots = find_roots
        await self._transport.requests.tell("notifications/roots/list_changed")

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


def _own(result: dict[str, Any]) -> dict[str, Any]:
    """Without what one hop says of itself, and what only the runtime says: a server cannot speak for it."""
    if isinstance(meta := result.get("_meta"), dict):
        for name in [name for name in meta if name == types.SERVER_INFO_META_KEY or name.startswith("muxi/")]:
            del meta[name]
        if not meta:
            del result["_meta"]
    return result


def _check(method: str, version: str, result: dict[str, Any]) -> None:
    """Refuse what is no result of this method, with pydantic's error."""
    if method != "tools/call" or not is_of_texts(result):
        _shape(method, version).validate_python(result, by_name=False)


@cache
def _shape(method: str, version: str) -> TypeAdapter[Any]:
    """What a result must look like. The SDK's own check would write it anew, too, and throw that away."""
    shape: Any = SERVER_RESULTS[method, version]
    return TypeAdapter(shape)


async def _nobody_listens(_kind: str) -> None:
    """Before anybody uses the session, and where its list is asked for anyway."""


def _brought(inputs: Inputs) -> dict[str, Any]:
    responses = {"inputResponses": dict(inputs.responses)} if inputs.responses else {}
    return responses | ({"requestState": inputs.state} if inputs.state is not None else {})
