"""Telling clients that a list or a resource is another one now, in either era.

Above: `front` and `beside_tools`, which note what happened. Below: the SDK's streams of modern clients, and the
sessions of legacy ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp.server.session import ServerSession
    from mcp.server.subscriptions import ServerEvent

__all__ = ["ListenerBus", "News"]

EVENTS: dict[str, ServerEvent] = {
    "tools": ToolsListChanged(),
    "prompts": PromptsListChanged(),
    "resources": ResourcesListChanged(),
}


class News:
    """What is to be told. Noting it never waits."""

    def __init__(self, sessions: Mapping[str, ServerSession], gone: Callable[[str], None]) -> None:
        """`sessions` are the legacy ones; `gone` is called with one that cannot be reached any more."""
        self.bus = InMemorySubscriptionBus()
        self._sessions = sessions
        self._gone = gone
        self._lists: dict[str, None] = {}
        self._updated: dict[tuple[str, str], None] = {}
        self._changed = anyio.Event()

    def note(self, kind: str) -> None:
        """The list of `tools`, `prompts` or `resources` changed."""
        self._lists[kind] = None
        self._changed.set()

    def note_update(self, session: str, uri: str) -> None:
        """A resource that a legacy session subscribed to changed."""
        self._updated[session, uri] = None
        self._changed.set()

    async def tell(self) -> None:
        """Tell everybody whom it concerns; runs for ever."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            lists, self._lists = self._lists, {}
            updated, self._updated = self._updated, {}
            for kind in lists:
                await self.bus.publish(EVENTS[kind])
                for session in list(self._sessions):
                    await self._send(session, kind)
            for session, uri in updated:
                await self._send(session, uri, is_update=True)

    async def _send(self, name: str, what: str, *, is_update: bool = False) -> None:
        session = self._sessions.get(name)
        if session is None:
            return
        try:
            if is_update:
                await session.send_resource_updated(what)
            elif what == "tools":
                await session.send_tool_list_changed()
            elif what == "prompts":
                await session.send_prompt_list_changed()
            else:
                await session.send_resource_list_changed()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._gone(name)


class ListenerBus:
    """The bus of one modern listener: all list changes, and updates of the resources that it watches itself."""

    def __init__(self, shared: InMemorySubscriptionBus) -> None:
        self._shared = shared
        self._listeners: list[Callable[[ServerEvent], None]] = []

    async def publish(self, event: ServerEvent) -> None:
        """For the SDK's protocol; nothing is published here."""
        await self._shared.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """As the SDK asks."""
        self._listeners.append(listener)
        end = self._shared.subscribe(listener)

        def stop() -> None:
            end()
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def tell(self, uri: str) -> None:
        """A watched resource changed."""
        for listener in self._listeners:
            listener(ResourceUpdated(uri=uri))
