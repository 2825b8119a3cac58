"""Servers that are reached over HTTP: what holds for one in a sandbox holds for them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from fixture_servers import serve_app, serve_fixture
from gateway_harness import DEMO, Gateway, open_gateway
from mcp import MCPError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from muxi_runtime.gateway import listing

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


async def offered(gateway: Gateway) -> set[str]:
    async with gateway.client() as client:
        return {tool.name for tool in (await client.list_tools()).tools}


@ERAS
async def test_its_tools_are_listed_and_called_without_the_clients_key(tmp_path: Path, era: str):
    async with (
        serve_fixture(era) as served,
        open_gateway(tmp_path / "home", manifests={"far": {"url": served.url}}) as gateway,
    ):
        _, key = gateway.runtime.keys.create("ada")
        async with gateway.client(key=key, headers={"Cookie": "a=b", "X-Mine": "1"}) as client:
            assert "far__test_simple_text" in {tool.name for tool in (await client.list_tools()).tools}
            result = await client.call_tool("far__test_simple_text", {})
        assert "simple text" in result.content[0].text
    assert served.headers
    for headers in served.headers:
        assert not headers.keys() & {"authorization", "cookie", "x-mine"}


async def test_arguments_that_a_tool_wants_in_headers_are_there(tmp_path: Path):
    async with (
        serve_fixture("modern") as served,
        open_gateway(tmp_path / "home", manifests={"far": {"url": served.url}}) as gateway,
        gateway.client() as client,
    ):
        await client.list_tools()
        result = await client.call_tool("far__test_headers", {"region": "süd"})
    assert result.content[0].text == "region süd"


@ERAS
async def test_progress_arrives_and_a_call_given_up_is_cancelled(tmp_path: Path, era: str):
    heard: list[float] = []

    async def note(progress: float, _total: float | None, _message: str | None) -> None:
        heard.append(progress)

    async with (
        serve_fixture(era) as served,
        open_gateway(tmp_path / "home", manifests={"far": {"url": served.url}}) as gateway,
        gateway.client() as client,
    ):
        await client.call_tool("far__test_tool_with_progress", {}, progress_callback=note)
    assert heard == [0, 50, 100]


@ERAS
async def test_one_that_is_out_of_reach_hides_only_itself(tmp_path: Path, era: str):
    async with serve_fixture(era) as served:
        url = served.url
    async with open_gateway(tmp_path / "home", manifests={"far": {"url": url}, "demo": DEMO}) as gateway:
        names = await offered(gateway)
        assert "demo__echo" in names
        assert not any(name.startswith("far__") for name in names)
        assert "out of reach" in gateway.runtime.tools.servers["far"].error


@ERAS
async def test_one_that_comes_back_is_listed_again(tmp_path: Path, era: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "RETRY_SECONDS", 0.05)
    async with serve_fixture(era) as served:
        url = served.url
    async with open_gateway(tmp_path / "home", manifests={"far": {"url": url}}) as gateway:
        changed = anyio.Event()
        gateway.runtime.tools.on_change(changed.set)
        async with serve_fixture(era, port=int(url.rsplit(":", 1)[1].removesuffix("/mcp"))):
            with anyio.fail_after(20):
                await changed.wait()
            assert "far__test_simple_text" in await offered(gateway)


@ERAS
async def test_after_a_restart_of_the_server_calls_go_on(tmp_path: Path, era: str):
    async with serve_fixture(era) as served:
        url = served.url
        port = int(url.rsplit(":", 1)[1].removesuffix("/mcp"))
        async with (
            open_gateway(tmp_path / "home", manifests={"far": {"url": url}}) as gateway,
            gateway.client() as client,
        ):
            await client.call_tool("far__test_simple_text", {})
            await served.stop()
            async with serve_fixture(era, port=port):
                with suppress(MCPError):  # the call that finds the session gone
                    await client.call_tool("far__test_simple_text", {})
                assert (await client.call_tool("far__test_simple_text", {})).content


async def test_a_redirect_to_another_origin_is_not_followed(tmp_path: Path):
    reached = anyio.Event()

    async def trap(_request: object) -> Response:
        reached.set()
        return Response(status_code=404)

    async with serve_app(Starlette(routes=[Route("/mcp", trap, methods=["GET", "POST"])])) as elsewhere:

        async def away(_request: object) -> Response:
            return RedirectResponse(elsewhere, status_code=307)

        app = Starlette(routes=[Route("/mcp", away, methods=["GET", "POST"])])
        async with (
            serve_app(app) as url,
            open_gateway(tmp_path / "home", manifests={"far": {"url": url}, "demo": DEMO}) as gateway,
        ):
            assert "far" in gateway.runtime.tools.servers
            assert not gateway.runtime.tools.servers["far"].tools
    assert not reached.is_set()


async def test_an_answer_without_end_is_cut_off(tmp_path: Path):
    async def endless(_request: object) -> Response:
        return Response(b"x" * (17 * 2**20), media_type="application/json")

    app = Starlette(routes=[Route("/mcp", endless, methods=["GET", "POST"])])
    async with serve_app(app) as url, open_gateway(tmp_path / "home", manifests={"far": {"url": url}}) as gateway:
        assert "more than" in gateway.runtime.tools.servers["far"].error
        async with gateway.client() as client:
            with pytest.raises(MCPError):
                await client.call_tool("far__x", {})


async def test_a_modern_result_without_its_type_is_a_complete_one(tmp_path: Path):
    async def terse(request: Request) -> Response:
        asked = await request.json()
        known = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        tool = {"name": "t", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
        results: dict[str, dict[str, object]] = {
            "server/discover": {
                **known,
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "terse", "version": "1"},
            },
            "tools/list": {**known, "tools": [tool]},
            "tools/call": {"content": [{"type": "text", "text": "brief"}]},
        }
        return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "result": results[asked["method"]]})

    app = Starlette(routes=[Route("/mcp", terse, methods=["POST"])])
    async with (
        serve_app(app) as url,
        open_gateway(tmp_path / "home", manifests={"far": {"url": url}}) as gateway,
        gateway.client() as client,
    ):
        assert (await client.call_tool("far__t", {})).content[0].text == "brief"
