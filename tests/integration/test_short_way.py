"""A call whose head was seen twice skips the layers that looked at those; nobody may be able to tell, or gain."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from anyio.abc import SocketStream
from gateway_harness import Gateway, open_gateway

from muxi_runtime.gateway.listener import listen, serve_http, url_of
from muxi_runtime.gateway.settings import GatewaySettings
from muxi_runtime.identity.roles import Role
from muxi_runtime.journal.read import tail
from muxi_runtime.store.engine import open_store

VERSION = "2026-07-28"
KEYS = "io.modelcontextprotocol"
META = {
    f"{KEYS}/protocolVersion": VERSION,
    f"{KEYS}/clientInfo": {"name": "raw", "version": "1"},
    f"{KEYS}/clientCapabilities": {},
}
SECONDS = 30
PARAMS = {"name": "demo__echo", "arguments": {"text": "x"}, "_meta": META}
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": PARAMS}


def body_of(*, params: dict[str, Any] | None = None, **changed: Any) -> bytes:
    return json.dumps({**CALL, "params": {**PARAMS, **(params or {})}, **changed}).encode()


def request(body: bytes, turn: int, *more: str, name: str = "demo__echo", length: int | None = None) -> bytes:
    """`turn` is in the head: where it differs from one request to the next, no head is ever known again."""
    lines = [
        "POST /mcp HTTP/1.1",
        "host: 127.0.0.1",
        f"x-turn: {turn}",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        f"mcp-protocol-version: {VERSION}",
        "mcp-method: tools/call",
        f"mcp-name: {name}",
        *([f"content-length: {len(body) if length is None else length}"] if length != -1 else []),
        *more,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Answer:
    status: int
    names: frozenset[str]
    body: Any


class Wire:
    """One connection of a client that says what it likes."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._received = b""

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def answer(self) -> Answer | None:
        """The next one; `None` where the connection ends."""
        try:
            while b"\r\n\r\n" not in self._received:
                self._received += await self._stream.receive()
            head, _, rest = self._received.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines)
            while "content-length" in fields and len(rest) < int(fields["content-length"]):
                rest += await self._stream.receive()
            while "content-length" not in fields:
                rest += await self._stream.receive()  # until it ends
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            if b"\r\n\r\n" not in self._received:
                return None
        size = int(fields.get("content-length", len(rest)))
        self._received = rest[size:]
        text = rest[:size]
        said = json.loads(text) if text.startswith(b"{") else text
        return Answer(int(first.split()[1]), frozenset(fields), said)

    async def ask(self, data: bytes) -> Answer | None:
        await self.send(data)
        return await self.answer()


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    parts = urlsplit(url)
    with anyio.fail_after(SECONDS):
        async with await anyio.connect_tcp(str(parts.hostname), int(parts.port or 0)) as stream:
            yield Wire(stream)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home") as opened:
        yield opened


async def test_only_the_first_two_of_calls_with_one_head_go_through_the_layers(gateway: Gateway) -> None:
    counted = 0

    async def layers(scope: Any, receive: Any, send: Any) -> None:
        nonlocal counted
        counted += 1
        await gateway.runtime.app(scope, receive, send)

    settings, ready = GatewaySettings(port=0), anyio.Event()
    async with listen(settings) as bound, anyio.create_task_group() as group:
        group.start_soon(partial(serve_http, layers, bound, ready=ready.set))
        await ready.wait()
        async with wire(url_of(settings, bound)) as client:
            answers = [await client.ask(request(body_of(id=number), 1)) for number in range(5)]
            assert [answer.body["id"] for answer in answers if answer] == [0, 1, 2, 3, 4]
            assert counted == 2  # of the first it was not known yet that its head would come again
            assert await client.ask(request(body_of(), 2)) == await client.ask(request(body_of(), 3))
            assert counted == 4
        group.cancel_scope.cancel()


BODIES = {
    "as before": body_of(),
    "other arguments": body_of(params={"arguments": {"text": "ünï \u2028 漢"}}),
    "no arguments": json.dumps({**CALL, "params": {"name": "demo__echo", "_meta": META}}).encode(),
    "null arguments": body_of(params={"arguments": None}),
    "a list": body_of(params={"arguments": [1]}),
    "a text as id": body_of(id="seven"),
    "null as id": body_of(id=None),
    "a fraction as id": body_of(id=7.0),
    "a boolean as id": body_of(id=True),
    "a large id": body_of(id=2**70),
    "another method": body_of(method="tools/list"),
    "another tool": body_of(params={"name": "demo__fail"}),
    "a tool that there is not": body_of(params={"name": "demo__nothing"}),
    "no version of JSON-RPC": body_of(jsonrpc="1.0"),
    "one field more": body_of(more=1),
    "one parameter more": body_of(params={"more": 1}),
    "no _meta": body_of(params={"_meta": None}),
    "progress": body_of(params={"_meta": {**META, "progressToken": 1}}),
    "another era": body_of(params={"_meta": {**META, f"{KEYS}/protocolVersion": "2025-11-25"}}),
    "an able client": body_of(params={"_meta": {**META, f"{KEYS}/clientCapabilities": {"elicitation": {}}}}),
    "a client of no name": body_of(params={"_meta": {**META, f"{KEYS}/clientInfo": 1}}),
    "a task that is not theirs": body_of(params={"_meta": {**META, "muxi/task": "t-0000000000000000"}}),
    "no number": body_of().replace(b'"x"', b"NaN"),
    "deep": body_of(params={"arguments": json.loads("[" * 80 + "]" * 80) and {"a": json.loads("[" * 80 + "]" * 80)}}),
    "twice the same key": body_of().replace(b'"id": 7', b'"id": 7, "id": 8'),
    "half": body_of()[:-5],
    "nothing": b"",
    "no text": b"\xff\xfe",
    "a list of calls": json.dumps([CALL]).encode(),
}


def seen(answer: Answer | None) -> tuple[Any, ...] | None:
    if answer is None:
        return None
    return answer.status, sorted(answer.names), answer.body


@pytest.mark.promise("bad-input-is-bounded")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_whatever_the_body_is_both_ways_give_the_same_answer(gateway: Gateway, body: bytes) -> None:
    ways = []
    for turns in ([1, 1, 1, 1], [1, 2, 3, 4]):
        async with wire(gateway.url) as client:
            for turn in turns[:2]:
                await client.ask(request(body_of(), turn))
            odd = await client.ask(request(body, turns[2]))
            after = await client.ask(request(body_of(id=9), turns[3]))
        ways.append((seen(odd), seen(after)))
    assert ways[0] == ways[1]
    assert ways[0][0] is not None


CALL_BYTES = body_of()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CALL_BYTES), CALL_BYTES)
ODD = {
    "two at once": lambda turns: [request(CALL_BYTES, turns[0]) + request(body_of(id=8), turns[1])],
    "three at once": lambda turns: [b"".join(request(body_of(id=turn), turns[0]) for turn in (1, 2, 3))],
    "in pieces": lambda turns: [request(CALL_BYTES, turns[0])[:50], request(CALL_BYTES, turns[0])[50:]],
    "a body and a half": lambda turns: [request(CALL_BYTES, turns[0]) + request(CALL_BYTES, turns[1])[:99]],
    "both lengths": lambda turns: [request(CALL_BYTES, turns[0], "transfer-encoding: chunked")],
    "chunks": lambda turns: [request(CHUNKED, turns[0], "transfer-encoding: chunked", length=-1)],
    "two lengths": lambda turns: [request(CALL_BYTES, turns[0], f"content-length: {len(CALL_BYTES) + 1}")],
    "a shorter length": lambda turns: [request(CALL_BYTES, turns[0], length=len(CALL_BYTES) - 9)],
    "bare line feeds": lambda turns: [request(CALL_BYTES, turns[0]).replace(b"\r\n", b"\n")],
    "one bare line feed": lambda turns: [request(CALL_BYTES, turns[0]).replace(b"0.1\r\n", b"0.1\n")],
    "a folded line": lambda turns: [request(CALL_BYTES, turns[0], "x-more: a\r\n b")],
    "a huge head": lambda turns: [request(CALL_BYTES, turns[0], "x-more: " + "a" * 200_000)],
    "no host": lambda turns: [request(CALL_BYTES, turns[0]).replace(b"host: 127.0.0.1\r\n", b"")],
    "another host": lambda turns: [request(CALL_BYTES, turns[0]).replace(b"127.0.0.1", b"evil.example")],
    "another origin": lambda turns: [request(CALL_BYTES, turns[0], "origin: https://evil.example")],
    "a wrong key": lambda turns: [request(CALL_BYTES, turns[0], "authorization: Bearer muxi_no")],
    "the end": lambda turns: [request(CALL_BYTES, turns[0], "connection: close")],
    "an old version": lambda turns: [request(CALL_BYTES, turns[0]).replace(b"HTTP/1.1", b"HTTP/1.0")],
    "no request": lambda _: [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
}  # fmt: skip


@pytest.mark.promise("bad-input-is-bounded")
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_odd_bytes_are_answered_as_on_the_long_way(gateway: Gateway, odd: Any) -> None:
    ways = []
    for turns in ([1, 1, 1, 1], [1, 2, 3, 4]):
        async with wire(gateway.url) as client:
            for turn in turns[:2]:
                await client.ask(request(CALL_BYTES, turn))
            ways.append(await all_answers(client, odd(turns[2:])))
    (quick, end), (whole, other_end) = ways
    assert end == other_end
    # Where it is ended while we still send, the last answers may be lost on their way.
    common = min(len(quick), len(whole)) if end == "ended" else max(len(quick), len(whole))
    assert quick[:common] == whole[:common]


async def all_answers(client: Wire, pieces: Sequence[bytes]) -> tuple[list[Any], str]:
    """To these bytes and to a question after them, until that is answered or the connection ends."""
    found: list[Any] = []
    try:
        for piece in pieces:
            await client.send(piece)
        await client.send(request(b"", 9).replace(b"POST /mcp ", b"GET /health "))
        while (answer := await client.answer()) is not None and not is_health(answer):
            found.append(seen(answer))
    except anyio.BrokenResourceError:
        return found, "ended"
    return found, "ended" if answer is None else "goes on"


def is_health(answer: Answer) -> bool:
    return isinstance(answer.body, dict) and "jsonrpc" not in answer.body and answer.status == 200


async def test_what_a_client_says_of_itself_counts_for_that_call_alone(gateway: Gateway) -> None:
    """Each name of a client has a task of its own, though all come over one connection with one head."""
    names = [f"client-{number}" for number in range(20)]
    async with wire(gateway.url) as client:
        for turn in ("one", "two"):
            for name in names:
                meta = {**META, f"{KEYS}/clientInfo": {"name": name, "version": "1"}}
                params = {"name": "demo__keep", "arguments": {"text": f"{turn} of {name}"}, "_meta": meta}
                answer = await client.ask(request(body_of(params=params), 1, name="demo__keep"))
                assert answer is not None
                kept = answer.body["result"]["content"][0]["text"]
                assert kept == (f"one of {name}" if turn == "one" else f"one of {name},two of {name}")


@pytest.mark.promise("keys-are-revoked-at-once")
async def test_a_key_that_is_revoked_opens_nothing_from_the_next_call_on(tmp_path: Path) -> None:
    async with open_gateway(tmp_path / "home", require_key="always") as gateway:
        record, key = gateway.runtime.keys.create("ada")
        asked = request(CALL_BYTES, 1, f"authorization: Bearer {key}")
        async with wire(gateway.url) as client:
            before = [await client.ask(asked) for _ in range(3)]
            gateway.runtime.keys.revoke(record.id)
            after = [await client.ask(asked) for _ in range(2)]
        assert [answer.status for answer in (*before, *after) if answer] == [200] * 3 + [401] * 2
    assert [event.data["why"] for event in kinds(tmp_path, "key.refused")] == ["revoked"] * 2


async def test_a_role_that_is_taken_away_counts_from_the_next_call_on(tmp_path: Path) -> None:
    async with open_gateway(tmp_path / "home", require_key="always") as gateway:
        _, key = gateway.runtime.keys.create("ada")
        asked = request(CALL_BYTES, 1, f"authorization: Bearer {key}")
        async with wire(gateway.url) as client:
            before = [await client.ask(asked) for _ in range(3)]
            gateway.runtime.keys.users.set("ada", role=Role.AUDITOR)
            after = await client.ask(asked)
        assert [answer.status for answer in (*before, after) if answer] == [200] * 3 + [403]
    assert len(kinds(tmp_path, "access.refused")) == 1


@pytest.mark.promise("rates-are-limited")
@pytest.mark.parametrize("kind", ["address", "user"])
async def test_each_call_is_counted_and_the_one_too_many_refused(tmp_path: Path, kind: str) -> None:
    quotas = {f"{one}_per_minute": 100_000 for one in ("address", "user", "key")} | {f"{kind}_per_minute": 6}
    ways = []
    for home, turns in (("a", [1] * 8), ("b", list(range(8)))):
        async with open_gateway(tmp_path / home, rates=quotas) as gateway, wire(gateway.url) as client:
            ways.append([seen(await client.ask(request(CALL_BYTES, turn))) for turn in turns])
        assert len(kinds(tmp_path / home, "rate.limited", home=".")) == 1
    assert ways[0] == ways[1]
    assert [way[0] for way in ways[0] if way] == [200] * 6 + [429] * 2


async def test_a_body_beyond_the_limit_is_refused_as_ever(tmp_path: Path) -> None:
    async with open_gateway(tmp_path / "home", max_body_bytes=2000) as gateway, wire(gateway.url) as client:
        small, large = CALL_BYTES, body_of(params={"arguments": {"text": "x" * 3000}})
        codes = [answer.status for body in (small, small, large) if (answer := await client.ask(request(body, 1)))]
    assert codes == [200, 200, 413]


async def test_a_client_that_leaves_has_cancelled_its_call_on_the_server_too(gateway: Gateway) -> None:
    async with wire(gateway.url) as client:
        refused = [await client.ask(request(CALL_BYTES, 1, name="demo__wait")) for _ in range(2)]
        assert [answer.status for answer in refused if answer] == [400] * 2  # but their head is known from now on
        wait = body_of(params={"name": "demo__wait", "arguments": {}})
        await client.send(request(wait, 1, name="demo__wait"))
        await gateway.seen["waiting"].wait()
    with anyio.fail_after(SECONDS):
        await gateway.seen["wait ended"].wait()


def kinds(path: Path, kind: str, home: str = "home") -> list[Any]:
    engine = open_store(path / home)
    try:
        return [event for event in tail(engine, 500) if event.kind == kind]
    finally:
        engine.dispose()
