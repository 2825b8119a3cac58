"""Resources, prompts, completion, log levels and subscriptions at the front, in both eras.

At `/mcp/<server>` they are as the server has them. At `/mcp` a prompt is called SERVER__PROMPT like a tool; a resource
keeps its URI, since contents refer to each other by it, and says whose it is in `_meta["muxi/server"]`. To read one,
that entry may be sent along; without it the first server that lists the URI, or has a template for it, is asked.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp import MCPError
from mcp.server.subscriptions import ListenHandler

from muxi_runtime.errors import ForwardedError, MuxiError, ToolBlockedError
from muxi_runtime.gateway.caller import CallRequest
from muxi_runtime.gateway.client_news import ListenerBus
from muxi_runtime.gateway.host_server import HOST
from muxi_runtime.gateway.request_facts import client_of, meta_of, origin_of, server_of, session_of
from muxi_runtime.gateway.rests import PREFIX
from muxi_runtime.gateway.tools import SEPARATOR, split_name
from muxi_runtime.gateway.wire_errors import to_wire
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mcp.server.caching import CacheableMethod
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel.server import Server

    from muxi_runtime.gateway.call import Watch
    from muxi_runtime.gateway.client_news import News
    from muxi_runtime.gateway.front import Front
    from muxi_runtime.gateway.offers import OfferBook, Offers

__all__ = ["CACHEABLE", "BesideTools"]

logger = logging.getLogger(__name__)

CACHEABLE: tuple[CacheableMethod, ...] = (
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
)
META_SERVER = "muxi/server"
MAX_LISTENERS = 1024
MAX_WATCHED = 100
"""Resources that one client may be told about."""

Context = Any


class BesideTools:
    """Handlers of the requests that are not about tools."""

    def __init__(self, front: Front, offers: OfferBook, news: News) -> None:
        self._front = front
        self._offers = offers
        self._news = news
        self._listening = 0
        self._watches: dict[str, dict[tuple[str, str], Watch]] = {}

    def register(self, server: Server[Any]) -> None:
        """Answer what clients ask beside tools."""
        handlers: tuple[tuple[str, type[Any], Any], ...] = (
            ("resources/list", types.PaginatedRequestParams, self._list_resources),
            ("resources/templates/list", types.PaginatedRequestParams, self._list_templates),
            ("resources/read", types.ReadResourceRequestParams, self._read),
            ("resources/subscribe", types.SubscribeRequestParams, self._subscribe),
            ("resources/unsubscribe", types.UnsubscribeRequestParams, self._unsubscribe),
            ("prompts/list", types.PaginatedRequestParams, self._list_prompts),
            ("prompts/get", types.GetPromptRequestParams, self._get_prompt),
            ("completion/complete", types.CompleteRequestParams, self._complete),
            ("logging/setLevel", types.SetLevelRequestParams, self._set_level),
        )
        for method, model, handler in handlers:
            server.add_request_handler(method, model, handler)

    def forget_session(self, session: str) -> None:
        """A legacy session ended: so do its subscriptions."""
        for watch in self._watches.pop(session, {}).values():
            watch.end()

    async def _list_resources(self, ctx: Context, _params: object) -> dict[str, Any]:
        found = [self._marked(ctx, name, item) for name, offers in self._shown(ctx) for item in offers.resources]
        return {"resultType": "complete", "resources": found}

    async def _list_templates(self, ctx: Context, _params: object) -> dict[str, Any]:
        found = [self._marked(ctx, name, item) for name, offers in self._shown(ctx) for item in offers.templates]
        return {"resultType": "complete", "resourceTemplates": found}

    async def _list_prompts(self, ctx: Context, _params: object) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        for name, offers in self._shown(ctx):
            prefix = "" if server_of(ctx.request) else f"{name}{SEPARATOR}"
            found += [{**prompt, "name": f"{prefix}{prompt.get('name')}"} for prompt in offers.prompts]
        return {"resultType": "complete", "prompts": found}

    def _shown(self, ctx: Context) -> Iterator[tuple[str, Offers]]:
        only = server_of(ctx.request)
        return ((name, offers) for name, offers in self._offers.servers.items() if only in (None, name))

    def _marked(self, ctx: Context, server: str, item: Mapping[str, Any]) -> dict[str, Any]:
        if server_of(ctx.request) is not None:
            return dict(item)
        return {**item, "_meta": {**(item.get("_meta") or {}), META_SERVER: server}}

    async def _read(self, ctx: Context, params: types.ReadResourceRequestParams) -> dict[str, Any]:
        return await self._front.with_client(ctx, lambda: self._about_resource(ctx, "resources/read", str(params.uri)))

    async def _get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> dict[str, Any]:
        def asked() -> CallRequest:
            server, name = self._prompt(ctx, params.name)
            return CallRequest(server, name, params.arguments or {}, _origin(ctx), "prompts/get")

        return await self._front.with_client(ctx, asked)

    async def _complete(self, ctx: Context, params: types.CompleteRequestParams) -> dict[str, Any]:
        def asked() -> CallRequest:
            sent = {key: value for key, value in (ctx.params or {}).items() if key != "_meta"}
            if isinstance(params.ref, types.PromptReference):
                server, name = self._prompt(ctx, params.ref.name)
                sent["ref"] = {**sent["ref"], "name": name}
            else:
                name = params.ref.uri
                server = self._owner(ctx, name)
            return CallRequest(server, name, {}, _origin(ctx), "completion/complete", sent)

        return await self._front.with_client(ctx, asked)

    async def _set_level(self, ctx: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        session = session_of(ctx.request)
        if session is not None:
            self._front.levels[session] = params.level
        return types.EmptyResult()

    async def _subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        session, uri = session_of(ctx.request) or "", str(params.uri)
        watches = self._watches.setdefault(session, {})
        server = self._owner(ctx, uri)
        if len(watches) >= MAX_WATCHED:
            raise MCPError(types.INVALID_PARAMS, f"No more than {MAX_WATCHED} resources can be subscribed to.")
        if (server, uri) not in watches:
            watches[server, uri] = await self._watch(ctx, uri, lambda: self._news.note_update(session, uri))
        return types.EmptyResult()

    async def _unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        uri = str(params.uri)
        watch = self._watches.get(session_of(ctx.request) or "", {}).pop((self._owner(ctx, uri), uri), None)
        if watch is not None:
            watch.end()
            await self._front.with_client(ctx, lambda: self._about_resource(ctx, "resources/unsubscribe", uri))
        return types.EmptyResult()

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """A modern client's stream of news, for as long as it stays."""
        if self._listening >= MAX_LISTENERS:
            raise MCPError(types.INTERNAL_ERROR, "Subscription limit reached")
        uris = [str(uri) for uri in params.notifications.resource_subscriptions or ()]
        bus = ListenerBus(self._news.bus)
        self._listening += 1
        try:
            with ExitStack() as stack:
                for uri in uris[:MAX_WATCHED]:
                    await self._watch_while(stack, ctx, uri, bus)
                return await ListenHandler(bus)(ctx, params)
        finally:
            self._listening -= 1

    async def _watch_while(self, stack: ExitStack, ctx: Context, uri: str, bus: ListenerBus) -> None:
        """A resource that nobody offers, or whose server tells of nothing, is one that never changes."""
        try:
            watch = await self._watch(ctx, uri, lambda: bus.tell(uri))
        except MCPError as error:
            logger.info("a client listens to %r in vain: %s", uri[:200], error)
            return
        stack.callback(watch.end)
        stack.enter_context(watch.task.in_use())

    async def _watch(self, ctx: Context, uri: str, told: Callable[[], None]) -> Watch:
        try:
            request = self._about_resource(ctx, "resources/subscribe", uri)
            return await self._front.door.watch(request, self._front.caller(ctx), told)
        except (MuxiError, SandboxError, ForwardedError) as error:
            raise to_wire(error) from error

    def _about_resource(self, ctx: Context, method: str, uri: str) -> CallRequest:
        return CallRequest(self._owner(ctx, uri), uri, {}, _origin(ctx), method, {"uri": uri})

    def _owner(self, ctx: Context, uri: str) -> str:
        """Whose resource, or template, it is.

        Raises:
            MCPError: nobody's.
        """
        if uri.startswith(PREFIX):
            return HOST
        named = meta_of(ctx).get(META_SERVER)
        owner = server_of(ctx.request) or (named if isinstance(named, str) else None) or self._owner_of(uri)
        if owner is None or owner == HOST:
            raise MCPError(
                types.INVALID_PARAMS, f"There is no resource {uri[:300]!r}; resources/list shows all.", {"uri": uri}
            )
        return owner

    def _owner_of(self, uri: str) -> str | None:
        return self._offers.owner(uri)

    def _prompt(self, ctx: Context, name: str) -> tuple[str, str]:
        """Its server, and its name there.

        Raises:
            MCPError: no server has prompts under that name.
            ToolBlockedError: it is not as it was accepted.
        """
        only = server_of(ctx.request)
        server, prompt = (only, name) if only is not None else split_name(name)
        if server not in self._offers.servers:
            raise MCPError(types.INVALID_PARAMS, f"There is no prompt {name[:300]!r}; prompts/list shows all.")
        reason = self._offers.blocked(server, "prompts").get(prompt)
        if reason is not None:
            raise ToolBlockedError(
                f"Prompt {prompt!r} of server {server!r} is blocked: {reason}.",
                remedy=f"A person who runs this runtime can look with `muxi-runtime pins diff {server}.{prompt}`.",
            )
        return server, prompt


def _origin(ctx: Context) -> Any:  # noqa: ANN401
    return origin_of(meta_of(ctx), client_of(ctx), ctx.request)
