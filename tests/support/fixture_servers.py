"""The conformance fixture behind a gateway: over HTTP on loopback, or as a program of the in-memory backend."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from stdio_program import run_program

from conformance_mcp.eras import OneEra, held_to
from conformance_mcp.server import Fixture
from muxi_runtime.gateway.listener import listen, url_of
from muxi_runtime.gateway.settings import GatewaySettings
from muxi_sandbox.fake import FakeProcess

IMAGE = "fixture@sha256:0"


@dataclass
class Served:
    """A fixture over HTTP.

    Attributes:
        headers: of every request that it got, oldest first.
    """

    url: str
    fixture: Fixture
    headers: list[dict[str, str]] = field(default_factory=list)
    ended: anyio.Event = field(default_factory=anyio.Event)
    stopping: anyio.Event = field(default_factory=anyio.Event)

    async def stop(self) -> None:
        """End it, and with it its sessions."""
        self.stopping.set()
        await self.ended.wait()

    def noting(self, app: ASGIApp) -> ASGIApp:
        async def note(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
            await app(scope, receive, send)

        return note


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve_app(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Any application at a loopback port; its URL."""
    settings = GatewaySettings(port=port)
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=0)
    server = _Server(config)
    async with listen(settings) as bound, anyio.create_task_group() as group:
        group.start_soon(server.serve, [bound])
        await server.ready.wait()
        try:
            yield url_of(settings, bound)
        finally:
            server.should_exit = True  # not cancelled: it has to let go of its socket in this same loop


@asynccontextmanager
async def serve_fixture(era: str, port: int = 0) -> AsyncIterator[Served]:
    """The fixture at a URL, held to one era."""
    fixture = Fixture()
    app = fixture.server.streamable_http_app()
    served = Served("", fixture)
    async with anyio.create_task_group() as group:
        ready = anyio.Event()

        async def serve() -> None:
            async with fixture.server.session_manager.run(), serve_app(served.noting(OneEra(app, era)), port) as url:
                served.url = url
                ready.set()
                await served.stopping.wait()
            served.ended.set()

        group.start_soon(serve)
        await ready.wait()
        yield served
        served.stopping.set()


def fixture_program(era: str, fixtures: list[Fixture] | None = None) -> Callable[[FakeProcess], Awaitable[int]]:
    """The fixture as a program over standard streams; each copy is added to `fixtures`."""

    async def program(process: FakeProcess) -> int:
        fixture = Fixture()
        if fixtures is not None:
            fixtures.append(fixture)

        async def serve(inbox: Any, outbox: Any) -> None:
            async with held_to(era, inbox, outbox) as (incoming, outgoing):
                await fixture.server.run(incoming, outgoing, fixture.server.create_initialization_options())

        await run_program(process, serve)
        return 0

    return program
