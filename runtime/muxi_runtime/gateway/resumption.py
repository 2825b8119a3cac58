"""What legacy sessions were sent lately: a client whose connection broke comes back with `Last-Event-ID` for the rest.

Above: `http`, whose sessions these are, and `session_calls`. Below: nothing, all is in memory. The oldest events are
dropped first, of whatever session. Each session sees its own alone: ids of streams are the same in all of them.
"""

from __future__ import annotations

import math
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, authorization_context
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

if TYPE_CHECKING:
    from mcp.server.streamable_http import EventCallback

__all__ = ["Events", "ResumableSessions"]

MOST_EVENTS = 20_000
MOST_BYTES = 64 * 2**20
"""Of all sessions together."""


@dataclass(frozen=True, slots=True)
class _Event:
    """One event; without a message it only marks where a stream begins."""

    session: object
    stream: str
    message: types.JSONRPCMessage | None
    size: int


class Events:
    """Those of all sessions, oldest first."""

    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._events: OrderedDict[str, _Event] = OrderedDict()
        self._bytes = 0

    def of_session(self) -> EventStore:
        """For one session more."""
        return _SessionEvents(self)

    def put(self, session: object, stream: str, message: types.JSONRPCMessage | None) -> str:
        """Keep an event; its id, which cannot be guessed."""
        size = len(message.model_dump_json(by_alias=True, exclude_unset=True)) if message is not None else 0
        event_id = secrets.token_hex(16)
        self._events[event_id] = _Event(session, stream, message, size)
        self._bytes += size
        while len(self._events) > self._most_events or self._bytes > self._most_bytes:
            _, dropped = self._events.popitem(last=False)
            self._bytes -= dropped.size
        return event_id

    def after(self, session: object, last: str) -> tuple[str, list[EventMessage]] | None:
        """The stream of an event of this session, and what followed on it; `None` where it is not known."""
        known = self._events.get(last)
        if known is None or known.session is not session:
            return None
        found: list[EventMessage] = []
        for event_id in reversed(self._events):
            if event_id == last:
                break
            event = self._events[event_id]
            if event.session is session and event.stream == known.stream and event.message is not None:
                found.append(EventMessage(event.message, event_id))
        return known.stream, found[::-1]


class _SessionEvents(EventStore):
    """As the SDK's transport asks."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        return self._events.put(self, stream_id, message)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        found = self._events.after(self, last_event_id)
        if found is None:
            text = "There is nothing to resume: this event is too old, or of another session. Make the request again."
            error = types.ErrorData(code=types.INVALID_REQUEST, message=text)
            await send_callback(EventMessage(types.JSONRPCError(jsonrpc="2.0", id=None, error=error)))
            return None
        stream, events = found
        for event in events:
            await send_callback(event)
        return stream


class ResumableSessions(StreamableHTTPSessionManager):
    """The SDK's sessions. It would have them share one store, and thereby each other's messages."""

    _events: Events

    @property
    def event_store(self) -> EventStore:
        """The SDK reads it once for each session that it makes."""
        return self._events.of_session()

    @event_store.setter
    def event_store(self, _store: EventStore | None) -> None:
        self._events = Events()

    def is_open(self, session: str, user: object) -> bool:
        """Whether there is such a session, and the `user` of a request is whose it is. If not, the SDK says how."""
        transport = self._server_instances.get(session)
        if transport is None or transport.is_terminated:
            return False
        if transport.idle_scope is not None and transport.idle_scope.cancel_called:
            return False
        asks = authorization_context(user) if isinstance(user, AuthenticatedUser) else None
        return asks == self._session_owners.get(session)

    def keep_awake(self, session: str) -> None:
        """Count its idle time from now on, as the SDK does when it has answered a request.

        Where it does not count, since a request or a stream is open at the SDK, it goes on not to.
        """
        transport = self._server_instances.get(session)
        scope = transport.idle_scope if transport is not None else None
        if scope is not None and self.session_idle_timeout is not None and scope.deadline != math.inf:
            scope.deadline = anyio.current_time() + self.session_idle_timeout
