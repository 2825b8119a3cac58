"""What a client hears unasked outlives the sandbox that it came from; what a server hears of its client reaches it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from fixture_servers import IMAGE, fixture_program, serve_fixture
from gateway_harness import Gateway, open_gateway
from mcp import MCPError

from conformance_mcp.server import Fixture
from muxi_runtime.journal.read import Query, search
from muxi_runtime.store.engine import open_store

SERVERS = pytest.mark.parametrize("era", ["modern", "legacy"], ids=["modern-server", "legacy-server"])
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
WATCHED = "test://watched-resource"


class Ears:
    """Of a client: counts what it is told."""

    def __init__(self) -> None:
        self._told = 0
        self._news = anyio.Event()

    def hear(self) -> None:
        self._told += 1
        self._news.set()
        self._news = anyio.Event()

    async def note(self, message: object) -> None:
        """A `message_handler` of a legacy client."""
        if isinstance(message, types.ResourceUpdatedNotification):
            self.hear()

    async def listen(self, events: Any) -> None:
        """To a modern client's stream, for ever."""
        async for _ in events:
            self.hear()

    async def heard(self, times: int) -> None:
        with anyio.fail_after(15):
            while self._told < times:
                await self._news.wait()


async def lose_the_sandbox(gateway: Gateway) -> None:
    await gateway.engine.stop()
    await gateway.engine.restart()


@SERVERS
async def test_a_legacy_client_hears_of_a_lost_sandbox_and_then_of_the_new_ones_resource(tmp_path: Path, era: str):
    ears = Ears()
    async with (
        open_gateway(
            tmp_path / "home", manifests={"fix": {"image": IMAGE}}, programs={IMAGE: fixture_program(era)}
        ) as gateway,
        gateway.client(mode="legacy", message_handler=ears.note) as client,
    ):
        await client.subscribe_resource(WATCHED)
        await lose_the_sandbox(gateway)
        await ears.heard(1)
        assert (await client.read_resource(WATCHED)).contents
        await client.call_tool("fix__test_touch_resource", {})
        await ears.heard(2)


@SERVERS
async def test_a_modern_client_hears_of_a_lost_sandbox_and_then_of_the_new_ones_resource(tmp_path: Path, era: str):
    ears = Ears()
    async with (
        open_gateway(
            tmp_path / "home", manifests={"fix": {"image": IMAGE}}, programs={IMAGE: fixture_program(era)}
        ) as gateway,
        gateway.client() as client,
        client.listen(resource_subscriptions=[WATCHED]) as events,
        anyio.create_task_group() as group,
    ):
        group.start_soon(ears.listen, events)
        await lose_the_sandbox(gateway)
        await ears.heard(1)
        assert (await client.read_resource(WATCHED)).contents
        with anyio.fail_after(15):
            await client.call_tool("fix__test_touch_resource", {})
        await ears.heard(2)
        group.cancel_scope.cancel()


async def test_a_server_elsewhere_that_restarts_is_watched_again(tmp_path: Path):
    ears = Ears()
    async with serve_fixture("legacy") as served:
        url, port = served.url, int(served.url.rsplit(":", 1)[1].removesuffix("/mcp"))
        async with (
            open_gateway(tmp_path / "home", manifests={"far": {"url": url}}) as gateway,
            gateway.client(mode="legacy", message_handler=ears.note) as client,
        ):
            await client.subscribe_resource(WATCHED)
            await served.stop()
            async with serve_fixture("legacy", port=port) as again:
                with suppress(MCPError):  # the call that finds the session gone
                    await client.read_resource(WATCHED)
                await ears.heard(1)
                assert (await client.read_resource(WATCHED)).contents
                assert again.fixture.watched == {WATCHED}
                await client.call_tool("far__test_touch_resource", {})
                await ears.heard(2)


async def test_one_that_unsubscribed_is_not_subscribed_again(tmp_path: Path):
    fixtures: list[Fixture] = []
    async with (
        open_gateway(
            tmp_path / "home",
            manifests={"fix": {"image": IMAGE}},
            programs={IMAGE: fixture_program("legacy", fixtures)},
        ) as gateway,
        gateway.client(mode="legacy") as client,
    ):
        await client.subscribe_resource(WATCHED)
        await client.unsubscribe_resource(WATCHED)
        await lose_the_sandbox(gateway)
        assert (await client.read_resource(WATCHED)).contents
        assert not fixtures[-1].watched


async def test_a_legacy_server_hears_that_roots_changed_and_learns_them(tmp_path: Path):
    fixtures: list[Fixture] = []
    roots = [types.Root(uri="file:///one")]

    async def tell(_context: object) -> types.ListRootsResult:
        return types.ListRootsResult(roots=roots)

    async with (
        open_gateway(
            tmp_path / "home",
            manifests={"fix": {"image": IMAGE}},
            programs={IMAGE: fixture_program("legacy", fixtures)},
        ) as gateway,
        gateway.client(mode="legacy", list_roots_callback=tell) as client,
        gateway.client(mode="legacy") as other,
    ):
        await client.subscribe_resource(WATCHED)
        await other.call_tool("fix__test_simple_text", {})
        mine = next(fixture for fixture in fixtures if fixture.watched)
        roots.append(types.Root(uri="file:///two"))
        await client.session.send_notification(types.RootsListChangedNotification())
        with anyio.fail_after(15):
            await mine.asked_roots.wait()
        assert mine.roots == ["file:///one", "file:///two"]
        assert [fixture for fixture in fixtures if fixture.asked_roots.is_set()] == [mine]
        engine = open_store(tmp_path / "home")
        try:
            found = list(search(engine, Query(kind="roots.asked")))
        finally:
            engine.dispose()
        assert [event.data["server"] for event in found] == ["fix"]
