"""A head that came before is not parsed again; nobody may be able to tell by the answers."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from muxi_runtime.gateway import known_heads
from muxi_runtime.gateway.known_heads import HEAD_FACTS, Connection

MOST_TURNS = 20


class Wire(asyncio.Transport):
    """The other end of a connection: keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8765), "peername": ("127.0.0.1", 50000)})
        self.writes: list[bytes] = []
        self.closed = False

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Tells what it was asked, in the way that the body says."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if body.startswith(b"fail"):
        raise ValueError("as asked")
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    told = json.dumps([scope["method"], scope["path"], scope["query_string"].decode(), headers, len(body)]).encode()
    status = 204 if body.startswith(b"nothing") else 200
    length = [] if status == 204 or body.startswith(b"stream") else [(b"content-length", b"%d" % len(told))]
    if body.startswith(b"wrong"):
        length = [(b"content-length", b"3")]
    odd = [(b"X-Odd", b"\xe9")] if body.startswith(b"odd") else [(b"connection", b"close")] * body.startswith(b"close")
    await send({"type": "http.response.start", "status": status, "headers": [*length, *odd]})
    if body.startswith(b"stream"):
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await send({"type": "http.response.body", "body": b"" if status == 204 else told})


def request(body: bytes = b"{}", *lines: str, first: str = "POST /mcp HTTP/1.1", length: str | None = None) -> bytes:
    said = length if length is not None else f"content-length: {len(body)}"
    head = "\r\n".join([first, "host: here", *([said] if said else []), *lines])
    return head.encode("latin-1") + b"\r\n\r\n" + body


REQUESTS = [
    request(),
    request(b"longer than that"),
    request(b"x" * 300),
    request(b"stream"),
    request(b"nothing"),
    request(b"fail"),
    request(b"wrong"),
    request(b"odd"),
    request(b"close"),
    request(b"{}", "authorization: Bearer one"),
    request(b"{}", "connection: keep-alive"),
    request(b"{}", "connection: close"),
    request(b"{}", "Connection: keep-alive, x"),
    request(b"{}", "expect: 100-continue"),
    request(b"{}", "upgrade: websocket", "connection: upgrade"),
    request(b"{}", first="POST /mcp/demo?tools=all HTTP/1.1"),
    request(b"{}", first="POST /mcp HTTP/1.0"),
    request(b"", first="GET /mcp HTTP/1.1"),
    request(b"{}", "content-length: 2"),
    request(b"{}", "content-length: 3"),
    request(b"abc", "content-length: 2"),
    request(b"{}", length="content-length: 2\r\n ,2"),
    request(b"abc", length="content-length: 3\r\n ,2"),
    request(b"{}", "content-length : 2"),
    request(b"{}", length="content-length: 02"),
    request(b"{}", length="content-length: 2\r\n 3"),
    request(b"{}", length="content-length:2"),
    request(b"{}", length="content-length:  2"),
    request(b"{}", length="content-length: +2"),
    request(b"{}", length="x: y\ncontent-length: 2"),
    request(b"{}", length="content-length: 2\nx: y"),
    request(b"{}", "x: \x00"),
    request(b"{}", "x : y"),
    request(b"{}", "transfer-encoding: chunked"),
    request(b"2\r\n{}\r\n0\r\n\r\n", "transfer-encoding: chunked", length=""),
    b"POST /mcp HTTP/1.1\r\nhost: here\ncontent-length: 2\n\n{}",
    b"POST /mcp HTTP/1.1\r\nhost: here\r\ncontent-length: 8\r\nx: y\n\n1234\r\n\r\n",
    b"POST /mcp HTTP/1.1\r\n\r\n",
    b"\r\n",
]


async def answers(kind: type[H11Protocol], pieces: Sequence[bytes]) -> tuple[bytes, bool]:
    """All that comes over a connection on which these pieces are sent, and whether it is closed then."""
    config = Config(application, lifespan="off", log_config=None, access_log=False, ws="none", http=kind)
    state, wire = ServerState(), Wire()
    state.default_headers = [(b"date", b"now")]
    connection = kind(config=config, server_state=state, app_state={})
    connection.connection_made(wire)
    for piece in pieces:
        if not wire.closed:
            connection.data_received(piece)
        await settled()
    connection.connection_lost(None)
    await settled()
    return wire.written, wire.closed


async def settled() -> None:
    """Until nobody goes on without more from the other end."""
    for _ in range(MOST_TURNS):
        await checkpoint()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """uvicorn logs what it refuses."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def cut(data: bytes, at: Sequence[float]) -> list[bytes]:
    places = sorted({int(len(data) * place) for place in at})
    return [part for start, end in zip([0, *places], [*places, len(data)], strict=True) if (part := data[start:end])]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.sampled_from(REQUESTS) | st.just(REQUESTS[0]), min_size=1, max_size=6),
    at=st.lists(st.floats(0, 1, exclude_max=True), max_size=4),
    pipelined=st.booleans(),
)
def test_whatever_is_sent_is_answered_as_by_the_parser_alone(
    asked: list[bytes],
    at: list[float],
    pipelined: bool,  # noqa: FBT001 - as drawn
) -> None:
    whole = [b"".join(asked)] if pipelined else asked
    pieces = [piece for one in whole for piece in cut(one, at)]

    async def both() -> None:
        assert await answers(Connection, pieces) == await answers(H11Protocol, pieces)

    anyio.run(both)


SMUGGLED = request(b"hidden")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (request(b"{}", "content-length: 2"), request(b"abc", "content-length: 2")),
        (request(b"{}", "content-length: 2"), request(b"{}", "content-length: 2", length="content-length: 50")),
        (request(b"x" * 50, "content-length: 50"), request(b"{}", "content-length: 50")),
        (request(b"{}", length="content-length: 2\r\n ,2"), request(b"abc", length="content-length: 3\r\n ,2")),
        (request(b"{}", "Content-Length:2"), request(b"abc", "Content-Length:2")),
    ],
)
async def test_lengths_that_differ_are_refused_whatever_came_before(first: bytes, second: bytes) -> None:
    for pieces in ([first, second, SMUGGLED], [first, first, second, SMUGGLED, SMUGGLED]):
        found = await answers(Connection, pieces)
        assert found == await answers(H11Protocol, pieces)
        assert found[0].count(b"HTTP/1.1 400") == 1
        assert found[1]


@pytest.mark.parametrize("fails", [True, False])
async def test_an_application_that_breaks_off_after_its_head_is_answered_and_the_connection_closed(
    fails: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        if (await receive())["body"] != b"break off":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        if fails:
            raise ValueError("as asked")

    config = Config(app, lifespan="off", log_config=None, access_log=False, ws="none", http=Connection)
    wire = Wire()
    connection = Connection(config=config, server_state=ServerState(), app_state={})
    connection.connection_made(wire)
    for body in (b"known now", b"break off"):
        connection.data_received(request(body))
        await settled()
    assert [line for line in wire.written.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 500 Internal Server Error",
    ]
    assert wire.closed


@pytest.mark.parametrize("one", REQUESTS, ids=lambda one: str(one)[:60])
async def test_each_request_after_good_ones_is_answered_as_by_the_parser_alone(one: bytes) -> None:
    for pieces in (
        [REQUESTS[0], REQUESTS[0], one, one, REQUESTS[0]],
        [one, one],
        [one, one, one],
        [REQUESTS[0], one * 3],
    ):
        assert await answers(Connection, pieces) == await answers(H11Protocol, pieces)


async def test_a_known_head_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    parsed = H11Protocol.data_received
    monkeypatch.setattr(H11Protocol, "data_received", lambda self, data: (read.append(data), parsed(self, data)))
    pieces = [request(b"{}"), request(b"another body"), request(b"one in ").replace(b"7", b"13"), b"pie", b"ces"]
    written, _ = await answers(Connection, pieces)
    assert read == [request(b"{}")]
    assert written.count(b"HTTP/1.1 200") == 3


async def test_a_body_that_comes_in_single_bytes_is_waited_for() -> None:
    dribbled = [bytes([byte]) for byte in request(b"x" * 300)]
    head = dribbled[: len(dribbled) - 300]
    pieces = [request(), b"".join(head), *dribbled[len(head) :], request()]
    assert await answers(Connection, pieces) == await answers(H11Protocol, pieces)


@pytest.mark.parametrize("kind", [Connection, H11Protocol])
@pytest.mark.parametrize("second", [request(b"second"), request(b"second", "x: other"), b"nonsense\r\n\r\n"])
async def test_who_asks_again_before_the_answer_gets_answers_in_their_order(
    kind: type[H11Protocol], second: bytes
) -> None:
    connection, wire, may_answer = await waiting_for_an_answer(kind)
    before = len(wire.written)
    connection.data_received(second)
    await settled()
    assert len(wire.written) == before
    may_answer.set()
    await settled()
    assert re.findall(rb"HTTP/1.1 (\d+)|, (\d+)\]", wire.written[before:])[:2] == [(b"200", b""), (b"", b"5")]
    assert wire.written[before:].count(b"HTTP/1.1") == 2  # one for each


@pytest.mark.parametrize("kind", [Connection, H11Protocol])
async def test_a_connection_whose_server_stops_is_answered_and_closed(kind: type[H11Protocol]) -> None:
    connection, wire, may_answer = await waiting_for_an_answer(kind)
    connection.shutdown()
    assert not wire.closed
    may_answer.set()
    await settled()
    assert wire.written.endswith(b", 5]")
    assert wire.closed


async def waiting_for_an_answer(kind: type[H11Protocol]) -> tuple[H11Protocol, Wire, anyio.Event]:
    """A connection on which a request was answered, and one with the same head is not yet; set the event for that."""
    asked, may_answer = 0, anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:  # the one that is waited for
            await may_answer.wait()
        await application(scope, receive, send)

    config = Config(app, lifespan="off", log_config=None, access_log=False, ws="none", http=kind)
    wire = Wire()
    connection = kind(config=config, server_state=ServerState(), app_state={})
    connection.connection_made(wire)
    for body in (b"once!", b"again"):
        connection.data_received(request(body))
        await settled()
    return connection, wire, may_answer


async def test_few_and_short_heads_are_kept() -> None:
    config = Config(application, lifespan="off", log_config=None, ws="none", http=Connection)
    state, wire = ServerState(), Wire()
    connection = Connection(config=config, server_state=state, app_state={})
    connection.connection_made(wire)
    for number in range(20):
        connection.data_received(request(b"{}", f"x-number: {number}"))
        connection.data_received(request(b"{}", f"x-long: {'x' * 5000}"))
        connection.data_received(request(b"{}", *[f"x{number}: y" for number in range(known_heads.MOST_HEADERS)]))
        await settled()
    kept = connection._heads  # noqa: SLF001 - what is bounded is what nobody else can see
    assert len(kept) == known_heads.MOST_HEADS
    assert all(len(head) <= known_heads.MOST_HEAD_BYTES for head in kept)


async def test_what_follows_from_a_head_is_kept_with_it_alone() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        facts = scope.get(HEAD_FACTS)
        seen.append(None if facts is None else facts.setdefault("first", len(seen)))
        await application(scope, receive, send)

    config = Config(app, lifespan="off", log_config=None, ws="none", http=Connection)
    state, wire = ServerState(), Wire()
    connection = Connection(config=config, server_state=state, app_state={})
    connection.connection_made(wire)
    for line in ("x: 1", "x: 2", "x: 1", "x: 2", "x: 1"):
        connection.data_received(request(b"{}", line))
        await settled()
    assert seen == [None, None, 2, 3, 2]
