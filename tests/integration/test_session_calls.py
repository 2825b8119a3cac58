"""A plain call in a legacy session goes a shorter way than others; its client misses nothing by it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from gateway_harness import Gateway, open_gateway

VERSION = "2025-11-25"
RULES = """
@id("all") permit (principal, action, resource);
@id("no") @reason("not this one") forbid (principal, action, resource) when { resource.name == "danger" };
"""
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
# A trace context is the least that has a request go the SDK's way; nothing else comes of it.
TRACED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
QUICK, STREAM = "application/json", "text/event-stream"


@dataclass
class Session:
    """By hand, so that nothing of a client's library is in between."""

    http: httpx2.AsyncClient
    path: str = "/mcp"
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))

    async def open(self, **able: Any) -> None:
        hello = {"protocolVersion": VERSION, "capabilities": able, "clientInfo": {"name": "hand", "version": "1"}}
        answer = await self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})
        self.headers |= {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": VERSION}
        await self.note("notifications/initialized")

    async def post(self, body: Any, **headers: str) -> httpx2.Response:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(self.path, content=sent, headers={**self.headers, **headers})

    async def note(self, method: str, **params: Any) -> None:
        answer = await self.post({"jsonrpc": "2.0", "method": method, "params": params})
        assert answer.status_code == 202

    async def call(self, name: str, arguments: Any = None, **changed: Any) -> httpx2.Response:
        return await self.post(message(name, arguments, **changed))


def message(name: str, arguments: Any = None, *, meta: Any = None, **changed: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": name}
    params |= {} if arguments is None else {"arguments": arguments}
    params |= {} if meta is None else {"_meta": meta}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params, **changed}


def messages(answer: httpx2.Response) -> list[Any]:
    """Of an answer in either form."""
    if answer.headers["content-type"] == QUICK:
        return [answer.json()]
    lines = (line.removeprefix("data:").strip() for line in answer.text.split("\n") if line.startswith("data:"))
    return [json.loads(line) for line in lines if line]


def kind(answer: httpx2.Response) -> str:
    return answer.headers["content-type"].partition(";")[0]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", rules=RULES) as opened:
        yield opened


@asynccontextmanager
async def opened(gateway: Gateway, path: str = "/mcp", key: str | None = None, **able: Any) -> AsyncIterator[Session]:
    async with gateway.http(key) as http:
        session = Session(http, path)
        await session.open(**able)
        yield session


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("demo__echo", {"text": "ünï 漢 \u2028"}),
        ("demo__fail", {}),
        ("demo__fail", None),
        ("demo__refuse", {}),
        ("demo__danger", {}),
        ("demo__nothing", {}),
        ("nowhere__x", {}),
        ("noseparator", {}),
        ("muxi__nothing", {}),
        ("demo__echo", {"text": {"deep": [None, 1.5, True]}}),
        ("demo__huge", {"size": 100_000}),
    ],
)
async def test_both_ways_give_the_same_answer(gateway: Gateway, name: str, arguments: Any) -> None:
    async with opened(gateway) as session:
        plain = await session.call(name, arguments, meta={"own": 1})
        other = await session.call(name, arguments, meta={"own": 1} | TRACED)
    assert (kind(plain), kind(other)) == (QUICK, STREAM)
    assert (plain.status_code, messages(plain)) == (other.status_code, messages(other))
    assert plain.headers["mcp-session-id"] == other.headers["mcp-session-id"]


@pytest.mark.parametrize(("path", "name"), [("/mcp/demo", "echo"), ("/mcp?tools=search", "demo__echo")])
async def test_the_path_says_what_a_name_means(gateway: Gateway, path: str, name: str) -> None:
    async with opened(gateway, path) as session:
        answer = await session.call(name, {"text": "x"})
    assert kind(answer) == QUICK
    assert answer.json()["result"]["content"] == [{"type": "text", "text": "x"}]


async def test_a_large_answer_is_sent_as_events_that_can_be_resumed(gateway: Gateway) -> None:
    async with opened(gateway) as session:
        answer = await session.call("demo__huge", {"size": 300_000})
        (told,) = messages(answer)
        assert (kind(answer), len(told["result"]["content"][0]["text"])) == (STREAM, 300_000)
        first = next(line for line in answer.text.split("\n") if line.startswith("id:")).removeprefix("id:").strip()
        headers = {**session.headers, "accept": STREAM, "last-event-id": first}
        with anyio.fail_after(10):
            async with session.http.stream("GET", "/mcp", headers=headers) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data: {"):
                        assert json.loads(line.removeprefix("data:")) == told
                        break


async def test_all_calls_of_a_session_are_of_its_task_whichever_way_they_go(gateway: Gateway) -> None:
    async with opened(gateway) as session, opened(gateway) as other:
        for number, meta in enumerate(({}, TRACED, {})):
            await session.call("demo__keep", {"text": str(number)}, meta=meta)
        kept = await session.call("demo__keep", {"text": "3"})
        others = await other.call("demo__keep", {"text": "x"})
    assert kept.json()["result"]["content"][0]["text"] == "0,1,2,3"
    assert others.json()["result"]["content"][0]["text"] == "x"


@pytest.mark.parametrize(
    "body",
    [
        message("demo__echo", {"text": "x"}, id=None),
        message("demo__echo", {"text": "x"}, id=[1]),
        message("demo__echo", {"text": "x"}, jsonrpc="1.0"),
        message("demo__echo", [1]),
        message("demo__echo", {"text": "x"}, meta=7),
        message("demo__echo", {"text": "x"}, meta={"progressToken": "t"}),
        message("demo__echo", {"text": "x"}, more=1),
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "demo__echo", "task": {}}},
        [message("demo__echo", {"text": "x"})],
        b"{",
        b"\xff\xfe",
    ],
    ids=lambda value: str(value)[:70],
)
async def test_what_is_not_plain_goes_to_the_sdk_as_it_came(gateway: Gateway, body: Any) -> None:
    async with opened(gateway) as session:
        answer = await session.post(body)
        assert kind(answer) == STREAM or answer.status_code in {202, 400}
        assert kind(await session.call("demo__echo", {"text": "next"})) == QUICK


async def test_a_session_that_ended_or_never_was_is_not_found(gateway: Gateway) -> None:
    async with opened(gateway) as session:
        known = session.headers["mcp-session-id"]
        session.headers["mcp-session-id"] = "0" * 32
        assert (await session.call("demo__echo", {"text": "x"})).status_code == 404
        session.headers["mcp-session-id"] = known
        assert (await session.http.delete("/mcp", headers=session.headers)).status_code == 200
        assert (await session.call("demo__echo", {"text": "x"})).status_code == 404


async def test_a_session_of_another_key_is_not_found(tmp_path: Path) -> None:
    async with open_gateway(tmp_path / "home", rules=RULES) as gateway:
        (_, mine), (_, theirs) = [gateway.runtime.keys.create(user) for user in ("ann", "bob")]
        async with opened(gateway, key=mine) as session:
            for key in (theirs, None):
                async with gateway.http(key) as http:
                    thief = Session(http, headers=dict(session.headers))
                    assert (await thief.call("demo__echo", {"text": "x"})).status_code == 404
            assert kind(await session.call("demo__echo", {"text": "x"})) == QUICK


async def test_a_version_that_is_none_is_refused(gateway: Gateway) -> None:
    async with opened(gateway) as session:
        answer = await session.post(message("demo__echo", {"text": "x"}), **{"mcp-protocol-version": "1999-01-01"})
    assert answer.status_code == 400


async def test_a_call_before_the_handshake_is_not_made(gateway: Gateway) -> None:
    async with gateway.http() as http:
        assert (await Session(http).call("demo__echo", {"text": "x"})).status_code == 400


async def test_calls_that_go_the_short_way_keep_their_session_open(tmp_path: Path) -> None:
    async with (
        open_gateway(tmp_path / "home", rules=RULES, idle_task_seconds=0.5) as gateway,
        opened(gateway) as session,
    ):
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            answer = await session.call("demo__echo", {"text": "x"})
            assert (answer.status_code, kind(answer)) == (200, QUICK)


async def test_a_call_is_cancelled_by_its_clients_note_before_the_sdk_knows_it(gateway: Gateway) -> None:
    async with opened(gateway) as session, anyio.create_task_group() as group:
        answers: list[httpx2.Response] = []

        async def call() -> None:
            answers.append(await session.call("demo__wait"))

        group.start_soon(call)
        with anyio.fail_after(10):
            await gateway.seen["waiting"].wait()
            await session.note("notifications/cancelled", requestId=7)
            await gateway.seen["wait ended"].wait()
    assert [one["error"]["code"] for one in messages(answers[0])] == [-32800]


async def test_a_call_that_takes_long_is_answered_by_events_and_cancelled_by_its_clients_note(gateway: Gateway) -> None:
    async with opened(gateway) as session, _streamed(session) as lines:
        with anyio.fail_after(10):
            assert (await anext(lines)).startswith("id:")
            await session.note("notifications/cancelled", requestId=7)
            told = [json.loads(line.removeprefix("data:")) async for line in lines if line.startswith("data: {")]
            await gateway.seen["wait ended"].wait()
    assert [one["error"]["code"] for one in told] == [-32800]


@asynccontextmanager
async def _streamed(session: Session) -> AsyncIterator[AsyncIterator[str]]:
    """A call that does not end, and the lines of its answer."""
    body = json.dumps(message("demo__wait"))
    async with session.http.stream("POST", session.path, content=body, headers=session.headers) as answer:
        yield answer.aiter_lines()


async def test_a_session_that_ends_ends_its_calls(gateway: Gateway) -> None:
    async with opened(gateway) as session, anyio.create_task_group() as group:
        group.start_soon(session.call, "demo__wait")
        with anyio.fail_after(10):
            await gateway.seen["waiting"].wait()
            await session.http.delete("/mcp", headers=session.headers)
            await gateway.seen["wait ended"].wait()


async def test_a_client_that_leaves_has_not_cancelled_its_call(gateway: Gateway) -> None:
    async with opened(gateway) as session:
        async with _streamed(session) as lines:
            with anyio.fail_after(10):
                assert (await anext(lines)).startswith("id:")
        await session.call("demo__echo", {"text": "x"}, id=8)
        assert not gateway.seen["wait ended"].is_set()
        await session.note("notifications/cancelled", requestId=7)
        with anyio.fail_after(10):
            await gateway.seen["wait ended"].wait()


async def test_calls_of_a_session_at_once_each_get_their_answer(gateway: Gateway) -> None:
    async with opened(gateway) as session, anyio.create_task_group() as group:
        found: dict[int, Any] = {}

        async def call(number: int) -> None:
            answer = await session.call("demo__echo", {"text": str(number)}, id=number)
            (found[number],) = messages(answer)

        for number in range(40):
            group.start_soon(call, number)
            if number % 10 == 0:
                group.start_soon(session.note, "notifications/roots/list_changed")
    assert {number: one["id"] for number, one in found.items()} == {number: number for number in range(40)}
    assert all(one["result"]["content"][0]["text"] == str(number) for number, one in found.items())
