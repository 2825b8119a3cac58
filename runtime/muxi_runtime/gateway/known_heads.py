"""Connections whose client sends the same head again and again, as every MCP client does: it is parsed once.

Above: uvicorn, which makes one `Connection` for each client. Below: its own `H11Protocol`, which each is. There is no
second parser here: h11 reads each head that is new, and refuses what is malformed. The bytes of a head that it took are
kept. A later request with the same bytes (but for the digits of its length) means what the first one meant, so its
ASGI scope is made from that. Whatever else comes, and every answer that is not one piece of known length, is h11's: it
is given the same bytes, late.

The application sees no difference: whoever asks is looked at anew in each request.
"""

from __future__ import annotations

import re
from asyncio import Event
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent, HTTPScope

__all__ = ["HEAD_FACTS", "SHORT_WAY", "Connection", "facts_of"]

MOST_HEADS = 4
MOST_HEAD_BYTES = 4096
"""Of one head that is kept. With what h11 made of it, a connection keeps some 100 KiB, whoever is at its other end."""
MOST_HEADERS = 64
MOST_BODY_BYTES = 64 * 2**10
"""Of a request that is read here; a longer one is given to h11 as it comes."""
FIRST_LINE, END = b"POST /mcp", b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: ?(0|[1-9][0-9]{0,4})\r\n", re.IGNORECASE)
LENGTHS = re.compile(rb"\r\ncontent-length[ \t]*:", re.IGNORECASE)
FOLD = re.compile(rb"\r\n[ \t]")
NOT_KEPT = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"})
CONNECTION, KEPT_OPEN = b"connection", b"keep-alive"
SENT = re.compile(rb"(?:(?!connection:|transfer-encoding:)[a-z0-9-]+: [!-~](?:[ -~]*[!-~])?\r\n)*")
"""Headers of an answer that need nothing of h11: a part of what it takes."""
HEAD_FACTS = "muxi.head_facts"
"""In the scope: a mapping for what follows from method, path and headers alone, lengths aside. It lives with a head."""

SHORT_WAY = "short way"
"""Among these facts: the application that requests with this head go to, if not the one that all others go to."""


def facts_of(scope: MutableMapping[str, Any]) -> dict[Any, Any]:
    """Where to keep what follows from a request's method, path and headers alone, its length aside."""
    facts: dict[Any, Any] | None = scope.get(HEAD_FACTS)
    return {} if facts is None else facts


@dataclass(frozen=True, slots=True)
class _Head:
    """What h11 made of a head."""

    scope: dict[str, Any]
    facts: dict[str, Any]
    length_at: int
    """Where in the headers the length of the body is."""

    def scope_of(self, length: bytes, state: dict[str, Any]) -> dict[str, Any]:
        """The scope of a request like it."""
        headers = list(self.scope["headers"])
        headers[self.length_at] = (headers[self.length_at][0], length)
        return {**self.scope, "headers": headers, "state": state, HEAD_FACTS: self.facts}


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where a request's head ends, and what it is known by."""

    key: bytes
    length: bytes
    end: int

    @property
    def whole(self) -> int:
        """Bytes of the request."""
        return self.end + int(self.length)


def _cut(data: bytes) -> _Cut | None:
    """The first request of `data`, if it may be one that is kept. Nothing is taken for granted of it but its bytes."""
    end = data.find(END, 0, MOST_HEAD_BYTES) + len(END)
    found = LENGTH.search(data, 0, end) if end >= len(END) and data.startswith(FIRST_LINE) else None
    if found is None or int(found[1]) > MOST_BODY_BYTES:
        return None
    return _Cut(data[: found.start(1)] + data[found.end(1) : end], found[1], end)


class Connection(H11Protocol):
    """One client's."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as uvicorn gives them
        super().__init__(*given, **named)
        self._heads: OrderedDict[bytes, _Head] = OrderedDict()
        self._begun = bytearray()
        """Of a request whose head is known, and whose body has not come yet."""
        self._wanted = 0
        """How many bytes that request has."""
        self._untold = b""
        """A request that is under way, and that h11 has not heard of."""
        self._rests_since: float | None = None
        """When the last answer was complete, while nothing came after it."""

    @property
    def _is_idle(self) -> bool:
        """Whether the next byte begins a request."""
        return (
            not self._untold
            and self.conn.our_state is h11.IDLE
            and self.conn.their_state is h11.IDLE
            and not self.conn.trailing_data[0]
        )

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        if not self._is_idle:
            self.tell_parser()
            super().data_received(data)
            return
        if self._begun:
            self._begun += data
            if len(self._begun) < self._wanted:
                return
            data = bytes(self._begun)
            self._begun.clear()
        cut = _cut(data)
        head = self._heads.get(cut.key) if cut is not None else None
        if cut is None or len(data) > cut.whole:
            super().data_received(data)
        elif head is None:
            self._read_new(data, cut)
        elif len(data) < cut.whole:
            self._unset_keepalive_if_required()
            self._begun += data
            self._wanted = cut.whole
        else:
            self._answer(data, head, cut)

    def on_response_complete(self) -> None:
        """As uvicorn has it, but that one timer lasts for many answers: it is looked at when it is over."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._rests_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_later(self.timeout_keep_alive)
        self.flow.resume_reading()
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE:
            self.conn.start_next_cycle()
            self.handle_events()

    def _unset_keepalive_if_required(self) -> None:
        self._rests_since = None

    def _look_later(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """End the connection if nothing came for as long as that."""
        self.timeout_keep_alive_task = None
        if self._rests_since is None:
            return  # the answer that is under way has it looked at again
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_later(left)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def _read_new(self, data: bytes, cut: _Cut) -> None:
        """Have h11 read a head, and keep what it made of it."""
        before = self.scope
        super().data_received(data)
        if self.scope is not before and (head := _kept(self.scope, data[: cut.end])) is not None:
            self._heads[cut.key] = head
            if len(self._heads) > MOST_HEADS:
                self._heads.popitem(last=False)

    def _answer(self, data: bytes, head: _Head, cut: _Cut) -> None:
        """As `handle_events` does it with the events that h11 would give."""
        self._unset_keepalive_if_required()
        self._untold = data
        self.scope = cast("HTTPScope", head.scope_of(cut.length, self.app_state.copy()))
        self.headers = cast("list[tuple[bytes, bytes]]", self.scope["headers"])
        self.cycle = _Cycle(self, self.scope, data[cut.end :])
        task = self.loop.create_task(self.cycle.run_asgi(head.facts.get(SHORT_WAY, self.app)))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def tell_parser(self) -> None:
        """Have h11 read what is under way: from here on it answers, and takes what comes next."""
        if not self._untold:
            return
        self.conn.receive_data(self._untold)
        self._untold = b""
        while not isinstance(event := self.conn.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Request | h11.Data):
                raise RuntimeError(  # noqa: TRY004 - no fault of a type: the two no longer agree
                    f"h11 reads a request that it took before as {event!r}"
                )

    @property
    def is_untold(self) -> bool:
        """Whether h11 has not heard of what is under way."""
        return bool(self._untold)

    def end_untold(self) -> None:
        """What was under way is answered."""
        self._untold = b""


def _kept(scope: HTTPScope, head: bytes) -> _Head | None:
    """What to keep of a head that h11 took; `None` where more than its bytes decides what it means."""
    headers = list(scope["headers"])
    names = [name for name, _ in headers]
    if head.count(b"\n") != head.count(b"\r\n") or FOLD.search(head) or len(names) > MOST_HEADERS:
        return None
    # Counted in the bytes: h11 makes one length of several that are equal, and those of a later head may differ.
    if scope["http_version"] != "1.1" or len(LENGTHS.findall(head)) != 1 or names.count(b"content-length") != 1:
        return None
    if NOT_KEPT.intersection(names) or any(name == CONNECTION and value != KEPT_OPEN for name, value in headers):
        return None
    return _Head({**scope, "headers": headers}, {}, names.index(b"content-length"))


class _Cycle(RequestResponseCycle):
    """One request that h11 has not heard of, and its answer."""

    def __init__(self, connection: Connection, scope: HTTPScope, body: bytes) -> None:
        super().__init__(
            scope=scope,
            conn=connection.conn,
            transport=connection.transport,
            flow=connection.flow,
            logger=connection.logger,
            access_logger=connection.access_logger,
            access_log=connection.access_log,
            default_headers=connection.server_state.default_headers,
            message_event=Event(),
            on_response=connection.on_response_complete,
        )
        self._connection = connection
        self._start: HTTPResponseStartEvent | None = None
        self.body += body
        self.more_body = False
        self.message_event.set()

    async def send(self, message: ASGISendEvent) -> None:
        """An answer that is one piece goes out in one write."""
        if self.response_started or self.disconnected:
            await super().send(message)
            return
        start, self._start = self._start, None
        if start is not None and message["type"] == "http.response.start":
            start = None  # nothing is sent yet, and the application broke off: this is what uvicorn says of it
        if start is None and message["type"] == "http.response.start" and _tells_length(message):
            self._start = message
            return
        if start is None or not self._send_whole(start, message):
            self._connection.tell_parser()
            if start is not None:
                await super().send(start)
            await super().send(message)

    def _send_whole(self, start: HTTPResponseStartEvent, message: ASGISendEvent) -> bool:
        """False, and nothing sent, where it is not all, or the connection ends with it, or h11 has heard of it."""
        if message["type"] != "http.response.body" or message.get("more_body", False) or not self.keep_alive:
            return False
        body, headers = message.get("body", b""), [*self.default_headers, *start.get("headers", ())]
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        if self.flow.write_paused or not self._connection.is_untold or not _is_right(headers, lines, len(body)):
            return False
        status = start["status"]
        self._connection.end_untold()
        self.response_started = self.response_complete = True
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, STATUS_PHRASES[status], lines, body))
        self.message_event.set()
        self.on_response()
        return True


def _tells_length(start: HTTPResponseStartEvent) -> bool:
    return start["status"] >= 200 and any(name == b"content-length" for name, _ in start.get("headers", ()))  # noqa: PLR2004


def _is_right(headers: list[tuple[bytes, bytes]], lines: bytes, length: int) -> bool:
    """Whether h11 would send just these lines; if not, it says what is wrong with them."""
    told = [value for name, value in headers if name == b"content-length"]
    return told == [b"%d" % length] and SENT.fullmatch(lines) is not None
