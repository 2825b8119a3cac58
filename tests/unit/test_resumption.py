"""What sessions were sent lately: bounded, and each session's own."""

from __future__ import annotations

import mcp_types as types

from muxi_runtime.gateway.resumption import Events


def note(text: str) -> types.JSONRPCNotification:
    return types.JSONRPCNotification(jsonrpc="2.0", method=text)


def methods(events: Events, session: object, last: str) -> list[str] | None:
    found = events.after(session, last)
    return None if found is None else [event.message.method for event in found[1]]


def test_what_followed_on_the_same_stream_comes_again_in_its_order() -> None:
    events, mine, other = Events(), object(), object()
    first = events.put(mine, "1", None)
    for session, stream, text in ((mine, "1", "a"), (other, "1", "x"), (mine, "2", "y"), (mine, "1", "b")):
        events.put(session, stream, note(text))
    assert methods(events, mine, first) == ["a", "b"]
    assert methods(events, other, first) is None


def test_the_oldest_are_dropped_beyond_a_number_or_a_size() -> None:
    for events in (Events(most_events=2), Events(most_bytes=70)):
        mine = object()
        ids = [events.put(mine, "1", note(text)) for text in ("a", "b", "c")]
        assert methods(events, mine, ids[0]) is None
        assert methods(events, mine, ids[1]) == ["c"]
