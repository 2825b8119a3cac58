"""Who comes too often, and the ways round that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import httpx2
import pytest
from gateway_harness import Gateway, open_gateway
from hypothesis import given
from hypothesis import strategies as st
from mcp import MCPError
from starlette.requests import HTTPConnection
from starlette.responses import Response

from muxi_runtime.gateway.http_auth import KeyBackend
from muxi_runtime.gateway.rate_limits import RateLimits, address_of
from muxi_runtime.gateway.rates import Buckets
from muxi_runtime.gateway.route_access import Guard
from muxi_runtime.gateway.settings import RateSettings
from muxi_runtime.gateway.short_way import ShortWay
from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.identity.known_keys import KnownKeys
from muxi_runtime.identity.roles import Action
from muxi_runtime.journal.read import tail
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.store.engine import database_path, open_store

if TYPE_CHECKING:
    from muxi_runtime.gateway.direct_calls import DirectCalls

pytestmark = pytest.mark.promise("rates-are-limited")

MANY = 100_000


def rates(**quotas: int) -> dict[str, object]:
    every = {f"{kind}_per_minute": MANY for kind in ("user", "key", "address", "failures")}
    return {"rates": every | {f"{kind}_per_minute": quota for kind, quota in quotas.items()}}


async def statuses(gateway: Gateway, count: int, key: str | None = None, **options) -> list[httpx2.Response]:
    """Each request over a connection of its own."""
    answers = []
    for _ in range(count):
        async with gateway.http(key, **options) as http:
            answers.append(await http.get("/control/whoami"))
    return answers


async def test_a_user_is_limited_over_all_keys_connections_and_sessions(tmp_path: Path):
    async with open_gateway(tmp_path / "home", **rates(user=6)) as gateway:
        keys = [gateway.runtime.keys.create("ada")[1] for _ in range(3)]
        codes = [(await statuses(gateway, 1, key))[0].status_code for key in keys * 3]
        assert codes == [200] * 6 + [429] * 3
        for headers in ({"Mcp-Session-Id": "a" * 32}, {"X-Forwarded-For": "192.0.2.1"}, {"Muxi-Task": "t-1"}):
            assert (await statuses(gateway, 1, keys[0], headers=headers))[0].status_code == 429
        other = gateway.runtime.keys.create("bob")[1]
        assert (await statuses(gateway, 1, other))[0].status_code == 200


async def test_a_key_is_limited_and_takes_nothing_from_the_user_s_others(tmp_path: Path):
    async with open_gateway(tmp_path / "home", **rates(key=3, user=8)) as gateway:
        one, two = (gateway.runtime.keys.create("ada")[1] for _ in range(2))
        assert [answer.status_code for answer in await statuses(gateway, 10, one)] == [200] * 3 + [429] * 7
        assert [answer.status_code for answer in await statuses(gateway, 3, two)] == [200] * 3


@pytest.mark.parametrize("kind", ["address", "user"])
async def test_requests_of_one_connection_that_are_all_alike_are_counted_one_by_one(tmp_path: Path, kind: str):
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with open_gateway(tmp_path / "home", **rates(**{kind: 4})) as gateway, gateway.http() as http:
        codes = [(await http.post("/mcp", json=sent)).status_code for _ in range(6)]
    assert (429 in codes[:4], codes[4:]) == (False, [429] * 2)


CALL_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "demo__echo",
}


def call(**meta: object) -> dict[str, object]:
    key = "io.modelcontextprotocol"
    said = {f"{key}/protocolVersion": "2026-07-28", f"{key}/clientInfo": None, f"{key}/clientCapabilities": {}}
    said[f"{key}/clientInfo"] = {"name": "raw", "version": "1"}
    params = {"name": "demo__echo", "arguments": {"text": "x"}, "_meta": said | meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@pytest.mark.parametrize("kind", ["address", "user", "key"])
@pytest.mark.parametrize("sent", [call(), call(progressToken=7), {"jsonrpc": "2.0"}], ids=["plain", "long", "broken"])
async def test_calls_of_a_known_head_are_counted_once_whichever_way_they_go(
    tmp_path: Path, kind: str, sent: dict[str, object]
):
    async with open_gateway(tmp_path / "home", **rates(**{kind: 5})) as gateway:
        key = gateway.runtime.keys.create("ada")[1]
        async with gateway.http(key) as http:
            answers = [await http.post("/mcp", json=body, headers=CALL_HEADERS) for body in [call(), *[sent] * 6]]
    assert [answer.status_code == 429 for answer in answers] == [False] * 5 + [True] * 2
    assert [f'"{kind}";r={left};' in answers[-3 - left].headers["ratelimit"] for left in range(5)] == [True] * 5


async def test_of_a_known_head_nothing_is_read_before_it_is_counted_and_its_caller_known(tmp_path: Path):
    read: list[str] = []
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        read.append("body")
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    engine = open_store(tmp_path)
    async with SqliteJournal(database_path(tmp_path)) as journal:
        settings = RateSettings(address_per_minute=2, user_per_minute=1)
        backend = KeyBackend(KnownKeys(KeyStore(engine), database_path(tmp_path)), journal, required=True)
        guard = Guard(Response(), journal, backend.challenge, {"*": Action.CALL})
        short = ShortWay(cast("DirectCalls", None), RateLimits(settings, journal), backend, guard, 1000)
        for key in ("wrong", KeyStore(engine).create("ada")[1], "wrong"):
            headers = [(b"authorization", f"Bearer {key}".encode())]
            scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}
            await short({**scope, "client": ("192.0.2.1", 7)}, receive, send)
    engine.dispose()
    statuses = [message["status"] for message in sent if message["type"] == "http.response.start"]
    assert (statuses, read) == ([401, 429], ["body"])


async def test_an_address_is_limited_before_anything_is_looked_at(tmp_path: Path):
    async with open_gateway(tmp_path / "home", **rates(address=4)) as gateway:
        forged = {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7", "X-Real-IP": "192.0.2.7"}
        codes = [answer.status_code for answer in await statuses(gateway, 6, headers=forged)]
        assert codes == [200] * 4 + [429] * 2
        answer = (await statuses(gateway, 1, "wrong"))[0]
        assert answer.status_code == 429


async def test_a_refusal_says_when_to_come_back_and_what_the_limits_are(tmp_path: Path):
    async with open_gateway(tmp_path / "home", **rates(user=2)) as gateway:
        first, _, refused = await statuses(gateway, 3)
        policy = f'"address";q={MANY};w=60, "user";q=2;w=60, "key";q={MANY};w=60'
        assert first.headers["ratelimit-policy"] == refused.headers["ratelimit-policy"] == policy
        assert first.headers["ratelimit"] == f'"address";r={MANY - 1};t=1, "user";r=1;t=30'
        assert '"user";r=0;t=' in refused.headers["ratelimit"]
        assert 25 <= int(refused.headers["retry-after"]) <= 30
        assert refused.json()["error"] == "too_many_requests"
        assert "gateway.rates.user_per_minute" in refused.json()["error_description"]


async def test_guessed_keys_are_refused_by_address_and_do_not_fill_the_journal(tmp_path: Path):
    async with open_gateway(tmp_path / "home", require_key="always", **rates(failures=5)) as gateway:
        wrong = f"muxi_aaaaaaaaaaaa_{'0' * 64}"
        answers = await statuses(gateway, 12, wrong)
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 7
        assert int(answers[-1].headers["retry-after"]) > 0
        events = tail(gateway.runtime.keys._engine, 1000)  # noqa: SLF001 - the same database
        kinds = [event.kind for event in events]
        assert kinds.count("key.refused") == 5
        assert [event.data for event in events if event.kind == "rate.limited"] == [
            {"kind": "failure", "who": "127.0.0.1"}
        ]
        good = gateway.runtime.keys.create("ada")[1]
        assert (await statuses(gateway, 1, good))[0].status_code == 200


async def test_calls_by_mcp_are_counted_like_all_else(tmp_path: Path):
    async with open_gateway(tmp_path / "home", **rates(user=20)) as gateway, gateway.client() as client:
        made = 0

        async def call_until_refused() -> None:
            nonlocal made
            while made < 30:
                await client.call_tool("demo__echo", {"text": "x"})
                made += 1

        with pytest.raises(MCPError):
            await call_until_refused()
        assert 10 < made < 20
        assert (await statuses(gateway, 1))[0].status_code == 429


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_of_ipv6_counts_as_its_site(host, counted):
    assert address_of(HTTPConnection({"type": "http", "client": (host, 1), "headers": []})) == counted


@given(st.lists(st.floats(0, 40), max_size=200), st.integers(1, 50))
def test_no_pattern_gets_more_than_a_full_bucket_and_what_fills_it(waits, quota):
    now = 0.0
    buckets = Buckets({"user": quota}, clock=lambda: now)

    async def run() -> int:
        nonlocal now
        made = 0
        for wait in waits:
            now += wait
            made += (await buckets.take("user", "ada")).allowed
        return made

    assert anyio.run(run) <= quota + now * quota / 60 + 1e-3


async def test_what_a_refusal_says_of_the_time_is_true():
    now = 1000.0
    buckets = Buckets({"user": 7}, clock=lambda: now)
    for left in (6, 5, 4, 3, 2, 1, 0):
        taken = await buckets.take("user", "ada")
        assert (taken.allowed, taken.remaining) == (True, left)
    refused = await buckets.take("user", "ada")
    assert not refused.allowed
    now += refused.retry_seconds - 1
    assert not (await buckets.take("user", "ada")).allowed
    now += 1
    assert (await buckets.take("user", "ada")).allowed
    now += refused.reset_seconds
    assert (await buckets.take("user", "ada")).remaining == 6


async def test_no_flood_of_names_takes_more_than_its_share_of_memory():
    buckets = Buckets({"address": 1}, clock=lambda: 0.0, most=100)
    for number in range(10_000):
        assert (await buckets.take("address", str(number))).allowed
    assert len(buckets._full_at["address"]) == 100  # noqa: SLF001 - what is bounded
    assert not (await buckets.take("address", "9999")).allowed
