"""What a server tells unasked: that one of its lists, or one of its resources, is another one now.

Above: `upstream`. A legacy server tells over its one stream, a modern one on streams that were asked for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
from mcp import MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated, ToolsListChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mcp import Client
    from mcp.shared.subscriptions import ServerEvent

    from muxi_runtime.gateway.upstream import Upstream

__all__ = ["Watches", "listen_for_news"]

logger = logging.getLogger(__name__)

KINDS: dict[type[ServerEvent], str] = {
    ToolsListChanged: "tools",
    PromptsListChanged: "prompts",
    ResourcesListChanged: "resources",
}


class Watches:
    """Who wants to know when a resource changes, by URI.

    Attributes:
        is_deaf: whether a change of the tools would not be heard now.
    """

    def __init__(self) -> None:
        self.is_deaf = True
        self._told: dict[str, list[Callable[[], None]]] = {}
        self._heard: frozenset[str] = frozenset()
        self._hearing = anyio.Event()
        self.changed = anyio.Event()

    def hear(self, uris: Iterable[str]) -> None:
        """The server tells of these from now on."""
        self._heard = frozenset(uris)
        self._hearing.set()
        self._hearing = anyio.Event()

    async def wait_heard(self, uri: str) -> None:
        """Until the server tells of this one."""
        while uri not in self._heard:
            await self._hearing.wait()

    @property
    def uris(self) -> tuple[str, ...]:
        """Those that somebody watches."""
        return tuple(self._told)

    def is_first(self, uri: str) -> bool:
        """Whether nobody watches it yet."""
        return uri not in self._told

    def add(self, uri: str, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` at each change, until what this returns is called."""
        self._told.setdefault(uri, []).append(told)
        self.stir()

        def end() -> None:
            listeners = self._told.get(uri, [])
            if told in listeners:
                listeners.remove(told)
            if not listeners:
                self._told.pop(uri, None)
            self.stir()

        return end

    def tell(self, uri: str) -> None:
        """The server says that it changed."""
        for told in list(self._told.get(uri, ())):
            told()

    def tell_all(self) -> None:
        """Nothing is known of any of them any more."""
        for uri in self.uris:
            self.tell(uri)

    def stir(self) -> None:
        """Who listens looks again which are watched."""
        self.changed.set()
        self.changed = anyio.Event()


async def listen_for_news(client: Client, upstream: Upstream, listens: anyio.Event) -> None:
    """Listen to a modern server, to all lists that it announces, and anew whenever other resources are watched.

    Losing the stream costs news, not calls. `listens` is set once it is there, or will not be.
    """
    try:
        while await _listen_once(client, upstream, listens):
            pass
    except* (MCPError, SubscriptionLost, TimeoutError) as errors:
        logger.info("a server ended its stream of news: %s", errors.exceptions[0])
    finally:
        listens.set()


async def _listen_once(client: Client, upstream: Upstream, listens: anyio.Event) -> bool:
    """Until the server ends the stream, which is told by false, or other resources are watched."""
    able, watches = client.server_capabilities, upstream.watches
    changed, uris = watches.changed, watches.uris
    tools = bool(able.tools and able.tools.list_changed)
    prompts = bool(able.prompts and able.prompts.list_changed)
    resources = bool(able.resources and able.resources.list_changed)
    if not (uris or tools or prompts or resources):
        listens.set()
        await changed.wait()
        return True
    async with (
        client.listen(
            tools_list_changed=tools,
            prompts_list_changed=prompts,
            resources_list_changed=resources,
            resource_subscriptions=uris,
        ) as events,
        anyio.create_task_group() as group,
    ):
        listens.set()
        watches.hear(uris)
        watches.is_deaf = not tools
        group.start_soon(_stop_at, changed, group.cancel_scope)
        try:
            async for event in events:
                if isinstance(event, ResourceUpdated):
                    watches.tell(event.uri)
                else:
                    await upstream.on_list_changed(KINDS[type(event)])
        finally:
            watches.is_deaf = True
        group.cancel_scope.cancel()
    return changed.is_set()


async def _stop_at(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
