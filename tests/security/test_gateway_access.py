"""Who may come in, from where, with what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_harness import Gateway, open_gateway

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
CALL_HEADERS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "demo__echo"}
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {
        "name": "demo__echo",
        "arguments": {"text": "x"},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
PATHS = ("/mcp", "/mcp/demo", "/control/status", "/control/tasks", "/control/tools", "/control/whoami")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", require_key="always") as opened:
        yield opened


@pytest.mark.promise("no-key-no-entry")
@pytest.mark.parametrize("path", PATHS)
async def test_without_a_key_nothing_opens_where_keys_are_required(guarded: Gateway, path: str):
    async with guarded.http() as http:
        answer = await http.get(path)
    assert answer.status_code == 401
    assert "muxi-runtime keys create" in answer.json()["error_description"]


@pytest.mark.promise("no-key-no-entry")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic abc", f"Bearer muxi_aaaaaaaaaaaa_{'0' * 64}", "x"])
async def test_a_wrong_key_is_refused_also_where_none_is_needed(gateway: Gateway, path: str, header: str):
    async with gateway.http(headers={"Authorization": header}) as http:
        assert (await http.get(path)).status_code == 401


@pytest.mark.promise("no-key-no-entry")
async def test_a_revoked_key_opens_nothing_from_the_next_request_on(guarded: Gateway):
    record, token = guarded.runtime.keys.create("ada")
    async with guarded.http(token) as http:
        assert (await http.get("/control/whoami")).json()["key"] == record.id
        guarded.runtime.keys.revoke(record.id)
        assert (await http.get("/control/whoami")).status_code == 401


@pytest.mark.promise("no-key-no-entry")
@pytest.mark.promise("keys-are-revoked-at-once")
async def test_a_key_that_is_revoked_makes_no_more_calls_on_the_connection_that_it_opened(guarded: Gateway):
    record, token = guarded.runtime.keys.create("ada")
    async with guarded.http(token, HEADERS | CALL_HEADERS) as http:
        answers = [await http.post("/mcp", json=CALL) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert answers[0].json() == answers[2].json()
        guarded.runtime.keys.revoke(record.id)
        assert [(await http.post("/mcp", json=CALL)).status_code for _ in range(2)] == [401] * 2


@pytest.mark.promise("no-key-no-entry")
@pytest.mark.promise("no-other-site")
async def test_good_requests_on_a_connection_vouch_for_no_other_ones(guarded: Gateway):
    _, token = guarded.runtime.keys.create("ada")
    async with guarded.http(token, HEADERS | CALL_HEADERS) as http:
        for _ in range(2):
            assert (await http.post("/mcp", json=CALL)).status_code == 200
            assert (await http.post("/mcp", json=CALL, headers={"Origin": "http://evil.example"})).status_code == 403
            assert (await http.post("/mcp", json=CALL, headers={"Host": "evil.example"})).status_code == 421
            assert (await http.post("/mcp", json=CALL, headers={"Authorization": "Bearer no"})).status_code == 401
            assert (await http.post("/mcp", json=CALL, headers={"Mcp-Name": "demo__fail"})).status_code == 400


@pytest.mark.promise("no-key-no-entry")
async def test_health_tells_nothing_but_that_it_lives(guarded: Gateway):
    async with guarded.http() as http:
        assert set((await http.get("/health")).json()) == {"status", "pid", "home_id"}


@pytest.mark.promise("no-other-site")
@pytest.mark.parametrize("path", [*PATHS, "/health"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:7890"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1.evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_page_of_another_site_reaches_nothing(gateway: Gateway, path: str, headers: dict[str, str]):
    async with gateway.http(headers=headers) as http:
        for answer in (await http.get(path), await http.post(path, json=LIST, headers=HEADERS)):
            assert answer.status_code in (403, 421)


@pytest.mark.promise("bad-input-is-bounded")
async def test_five_mebibytes_of_nested_json_are_refused_and_the_runtime_keeps_serving(gateway: Gateway):
    async with gateway.http(headers=HEADERS) as http:
        answer = await http.post("/mcp", content=b"[" * (5 * 2**20))
        assert answer.status_code == 413
        assert "4194304" in answer.text
        for body in (b"[" * 2**20, b'{"a":' * 2**18, b"\xff\xfe", b"", b'{"jsonrpc": "2.0"', b"[]", b"1" * 10_000):
            for era in ({}, {"MCP-Protocol-Version": "2026-07-28"}):
                answer = await http.post("/mcp", content=body, headers=era)
                assert answer.status_code == 400, (body[:20], answer.text)
        assert (await http.get("/health")).status_code == 200
    async with gateway.client() as client:
        assert (await client.call_tool("demo__echo", {"text": "alive"})).content[0].text == "alive"


@pytest.mark.promise("bad-input-is-bounded")
async def test_a_batch_is_refused(gateway: Gateway):
    async with gateway.http(headers=HEADERS) as http:
        assert (await http.post("/mcp", content=json.dumps([LIST, LIST]))).status_code == 400


@pytest.mark.promise("bad-input-is-bounded")
async def test_an_endpoint_of_a_server_that_does_not_exist_says_so(gateway: Gateway):
    async with gateway.http(headers=HEADERS) as http:
        for name in ("nothing", "..", "%2e%2e", "demo__echo", "a" * 3000):
            answer = await http.post(f"/mcp/{name}", json=LIST)
            assert answer.status_code in (404, 405), name
