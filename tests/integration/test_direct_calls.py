"""A plain call goes a shorter way than others; nobody may be able to tell by the answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import httpx2
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import MCPError
from starlette.requests import Request

from muxi_runtime.gateway.answer_stream import AnswerStreams
from muxi_runtime.gateway.direct_calls import DirectCalls, PlainCall
from muxi_runtime.gateway.listener import listen, serve_http, url_of
from muxi_runtime.gateway.settings import GatewaySettings
from muxi_runtime.identity.principal import Principal

VERSION = "2026-07-28"
KEYS = "io.modelcontextprotocol"
RULES = """
@id("all") permit (principal, action, resource);
@id("no") @reason("not this one") forbid (principal, action, resource) when { resource.name == "danger" };
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", rules=RULES) as opened:
        yield opened


def message(name: str, arguments: Any = None, *, meta: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    envelope = {
        f"{KEYS}/protocolVersion": VERSION,
        f"{KEYS}/clientInfo": {"name": "raw", "version": "1"},
        f"{KEYS}/clientCapabilities": {},
        **(meta or {}),
    }
    params = {"name": name, "_meta": envelope} | ({"arguments": arguments} if arguments is not None else {})
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params, **changed}


def headers(name: str, **changed: str) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": "tools/call",
        "mcp-name": name,
    } | {key.replace("_", "-"): value for key, value in changed.items()}


async def post(gateway: Gateway, body: Any, *, path: str = "/mcp", **options: Any) -> tuple[int, Any]:
    async with gateway.http() as http:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await http.post(path, content=sent, **options)
    assert answer.headers["content-type"] == "application/json", answer.text
    return answer.status_code, answer.json()


# A trace context is the least that has a request go the SDK's way; nothing else comes of it.
TRACED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def list_message(*, meta: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    asked = message("", meta=meta)
    return asked | {"method": "tools/list", "params": {"_meta": asked["params"]["_meta"], **params}}


def list_headers(**changed: str) -> dict[str, str]:
    kept = {key: value for key, value in headers("").items() if key != "mcp-name"}
    return kept | {"mcp-method": "tools/list"} | changed


@pytest.mark.parametrize("path", ["/mcp", "/mcp/demo", "/mcp?tools=search", "/mcp/demo?tools=search"])
async def test_a_plain_list_is_what_the_sdk_lists(gateway: Gateway, path: str) -> None:
    quick = await post(gateway, list_message(), headers=list_headers(), path=path)
    again = await post(gateway, list_message(), headers=list_headers(), path=path)
    whole = await post(gateway, list_message(meta=TRACED), headers=list_headers(), path=path)
    assert quick == again == whole
    assert quick[1]["result"]["tools"]


async def test_a_list_is_made_anew_when_the_tools_change(tmp_path: Path) -> None:
    async with open_gateway(tmp_path / "home", rules=RULES, pins=False) as gateway:
        changed = anyio.Event()
        await post(gateway, list_message(), headers=list_headers())
        gateway.runtime.tools.on_change(changed.set)
        await post(gateway, message("demo__grow", {}), headers=headers("demo__grow"))
        with anyio.fail_after(10):
            await changed.wait()
        _, answer = await post(gateway, list_message(), headers=list_headers())
        assert "demo__grown" in {tool["name"] for tool in answer["result"]["tools"]}


@pytest.mark.parametrize("params", [{"cursor": "x"}, {"cursor": 7}, {"more": 1}, {"_meta": {}}, {"_meta": 7}])
async def test_a_list_that_is_asked_for_in_another_way_is_answered_as_the_sdk_does(
    gateway: Gateway, params: dict[str, Any]
) -> None:
    quick = await post(
        gateway, list_message() | {"params": {**list_message()["params"], **params}}, headers=list_headers()
    )
    assert quick[1]["id"] in (7, None)
    assert ("result" in quick[1]) == (quick[0] == 200)


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
    plain = await post(gateway, message(name, arguments), headers=headers(name))
    other = await post(gateway, message(name, arguments, meta=TRACED), headers=headers(name))
    assert plain == other
    assert plain[1]["id"] == 7


@pytest.mark.parametrize("number", ["text", 0, -5, 2**53])
async def test_an_answer_has_the_requests_id(gateway: Gateway, number: Any) -> None:
    status, body = await post(gateway, message("demo__echo", {"text": "x"}, id=number), headers=headers("demo__echo"))
    assert (status, body["id"]) == (200, number)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (message("demo__echo", {"text": "x"}, id=None), {}),
        (message("demo__echo", {"text": "x"}, id=[1]), {}),
        (message("demo__echo", {"text": "x"}, jsonrpc="1.0"), {}),
        (message("demo__echo", [1]), {}),
        (message("demo__echo", {"text": "x"}), {"mcp_name": "demo__fail"}),
        (message("demo__echo", {"text": "x"}), {"mcp_method": "tools/list"}),
        (message("demo__echo", meta={f"{KEYS}/protocolVersion": "2025-11-25"}), {}),
        ([message("demo__echo", {"text": "x"})], {}),
        (b"{", {}),
        (b"[" * 50_000, {}),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 1e999}}', {}),
        (b"\xff\xfe", {}),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call"}, {}),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "demo__echo", "_meta": None}}, {}),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_malformed_is_refused_and_not_called(
    gateway: Gateway, body: Any, changed: dict[str, str]
) -> None:
    status, answer = await post(gateway, body, headers=headers("demo__echo", **changed))
    assert status == 400
    assert answer["error"]["code"] < 0
    async with gateway.client() as client:
        assert (await client.call_tool("demo__echo", {"text": "next"})).content[0].text == "next"


async def test_a_header_that_comes_twice_is_refused(gateway: Gateway) -> None:
    sent = [*headers("demo__echo").items(), ("mcp-name", "demo__echo")]
    status, answer = await post(gateway, message("demo__echo", {"text": "x"}), headers=sent)
    assert (status, "mcp-name" in answer["error"]["message"]) == (400, True)


async def test_a_number_that_json_does_not_have_is_refused(gateway: Gateway) -> None:
    body = json.dumps(message("demo__echo", {"text": float("nan")})).encode()
    status, answer = await post(gateway, body, headers=headers("demo__echo"))
    assert (status, answer["error"]["data"]["kind"]) == (400, "invalid_arguments")


async def test_a_body_is_bounded_whatever_its_headers_say_of_its_length(tmp_path: Path) -> None:
    async with open_gateway(tmp_path / "home", max_body_bytes=10_000) as gateway:
        parts = urlsplit(gateway.url)
        head = "".join(f"{key}: {value}\r\n" for key, value in headers("demo__echo").items())
        head += f"host: {parts.netloc}\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n"
        first = f"POST /mcp HTTP/1.1\r\n{head}\r\n"
        answer = b""
        with anyio.fail_after(20):
            async with await anyio.connect_tcp(str(parts.hostname), int(parts.port or 0)) as stream:
                with suppress(anyio.BrokenResourceError):  # when it has heard enough
                    await stream.send(first.encode())
                    for _ in range(100):
                        await stream.send(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    answer = await stream.receive()
        assert answer[9:12] in (b"", b"400", b"413")
        async with gateway.client() as client:
            assert (await client.call_tool("demo__echo", {"text": "next"})).content[0].text == "next"


async def test_a_head_is_bounded_before_anything_is_known_of_its_sender(gateway: Gateway) -> None:
    parts = urlsplit(gateway.url)
    answer = b""
    with anyio.fail_after(20):
        async with await anyio.connect_tcp(str(parts.hostname), int(parts.port or 0)) as stream:
            with suppress(anyio.BrokenResourceError):  # when it has heard enough
                await stream.send(b"GET /health HTTP/1.1\r\n")
                for _ in range(5000):
                    await stream.send(b"x-more: %b\r\n" % (b"x" * 2000))
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                answer = await stream.receive()
    assert answer[9:12] in (b"", b"400", b"431")
    async with gateway.http() as http:
        assert (await http.get("/health")).status_code == 200


async def test_a_client_that_leaves_has_cancelled_its_call(gateway: Gateway) -> None:
    parts = urlsplit(gateway.url)
    body = json.dumps(message("demo__wait", {})).encode()
    head = "".join(f"{key}: {value}\r\n" for key, value in headers("demo__wait").items())
    async with await anyio.connect_tcp(str(parts.hostname), int(parts.port or 0)) as stream:
        first = f"POST /mcp HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-length: {len(body)}\r\n{head}\r\n"
        await stream.send(first.encode() + body)
        with anyio.fail_after(10):
            await gateway.seen["waiting"].wait()
    with anyio.fail_after(10):
        await gateway.seen["wait ended"].wait()


@asynccontextmanager
async def served(application: Any) -> AsyncIterator[str]:
    """A real HTTP server over the application."""
    settings, ready = GatewaySettings(port=0), anyio.Event()
    async with listen(settings) as bound, anyio.create_task_group() as group:
        group.start_soon(partial(serve_http, application, bound, ready=ready.set))
        await ready.wait()
        yield url_of(settings, bound)
        group.cancel_scope.cancel()


async def test_a_call_that_takes_long_is_kept_alive_and_answered_on_its_stream() -> None:
    """Against the sockets of a server of its own: what takes 15 s otherwise takes a moment here."""
    streams = AnswerStreams(alive_seconds=0.05)
    enough, came = anyio.Event(), []

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        async with streams.open(receive, send) as stream:
            await enough.wait()
            stream.end_with(200, b'{"id":1,"result":{}}')

    async with anyio.create_task_group() as group, served(application) as url, httpx2.AsyncClient() as http:
        group.start_soon(streams.watch)
        async with http.stream("GET", url) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            async for line in answer.aiter_lines():
                came.append(line)
                if len([one for one in came if one.startswith(":")]) == 3:
                    enough.set()
        group.cancel_scope.cancel()
    assert came[-3:] == ["event: message", 'data: {"id":1,"result":{}}', ""]


async def test_a_quick_answer_is_one_piece_of_json() -> None:
    streams = AnswerStreams()

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        async with streams.open(receive, send) as stream:
            stream.end_with(400, b'{"id":null}')

    async with served(application) as url, httpx2.AsyncClient() as http:
        answer = await http.get(url)
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (
        400,
        {"id": None},
        "application/json",
    )


class Halves:
    """What answers every call with text that UTF-8 does not know."""

    server = SimpleNamespace(server_info_stamp={"name": "x", "version": "1"})

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails

    async def call(self, *_: Any) -> dict[str, Any]:
        if self._fails:
            raise MCPError(-32000, "half \udc80", {"of": "\udc80"})
        return {"content": [{"type": "text", "text": "half \udc80"}]}


@pytest.mark.parametrize("fails", [False, True])
async def test_half_a_surrogate_pair_does_not_keep_an_answer_from_its_client(*, fails: bool) -> None:
    streams = AnswerStreams()
    calls = DirectCalls(cast("Any", None), cast("Any", Halves(fails=fails)), streams)
    call = PlainCall(7, VERSION, cast("Any", None))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await calls.answer(call, Request(scope), Principal(), receive, send)

    async with served(application) as url, httpx2.AsyncClient() as http:
        answer = (await http.get(url)).json()
    told = answer["error"]["message"] if fails else answer["result"]["content"][0]["text"]
    assert (answer["id"], told) == (7, "half \udc80")


@pytest.mark.parametrize("breaks", [False, True])
async def test_what_is_shielded_in_a_call_is_finished_when_its_client_leaves(*, breaks: bool) -> None:
    streams = AnswerStreams(alive_seconds=0.05)
    leaves, left = anyio.Event(), anyio.Event()
    done: list[str] = []

    async def receive() -> Any:
        await (anyio.sleep_forever() if breaks else leaves.wait())
        left.set()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        if breaks and leaves.is_set():
            left.set()
            raise RuntimeError("the client is gone")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(streams.watch)
            async with streams.open(receive, send):
                with anyio.CancelScope(shield=True):
                    leaves.set()
                    await left.wait()
                    await anyio.wait_all_tasks_blocked()  # whoever watches has cancelled the call by now
                    done.append("shielded")
                await anyio.sleep_forever()
            done.append("after")
            await anyio.lowlevel.checkpoint()
            done.append("not cancelled any more")
            group.cancel_scope.cancel()
    assert done == ["shielded", "after", "not cancelled any more"]


async def test_who_cancels_a_call_from_outside_is_not_taken_for_its_client() -> None:
    streams = AnswerStreams()
    done: list[str] = []

    async def nothing(*_: Any) -> Any:
        await anyio.sleep_forever()

    with anyio.move_on_after(20) as scope:
        async with streams.open(nothing, nothing):
            scope.cancel()
            await anyio.sleep_forever()
        done.append("after")
    assert (scope.cancelled_caught, done) == (True, [])


async def test_a_connection_that_breaks_while_it_is_watched_ends_its_own_call_only() -> None:
    streams = AnswerStreams(alive_seconds=0.05)

    async def receive() -> Any:
        await anyio.sleep_forever()

    async def broken(_message: Any) -> None:
        raise RuntimeError("the server's own fault")

    async with anyio.create_task_group() as group:
        group.start_soon(streams.watch)
        for _ in range(2):
            with anyio.fail_after(20):
                async with streams.open(receive, broken):
                    await anyio.sleep_forever()
        group.cancel_scope.cancel()
