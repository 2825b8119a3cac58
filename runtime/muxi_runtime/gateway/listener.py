"""The listening socket and the HTTP server on it."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from muxi_runtime.errors import SetupError
from muxi_runtime.gateway.known_heads import Connection
from muxi_runtime.gateway.settings import GatewaySettings

__all__ = ["listen", "serve_http", "url_of"]

GRACE_SECONDS = 5
"""How long running requests may take to finish once the server is asked to stop."""

BACKLOG = 2048


@asynccontextmanager
async def listen(settings: GatewaySettings) -> AsyncIterator[socket.socket]:
    """Bind before anything else is started, so that a taken port costs nothing.

    Raises:
        SetupError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named, since asyncio switches Nagle's algorithm off only for sockets that say they are TCP; with
    # it on, an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((settings.host, settings.port))
            bound.listen(BACKLOG)
        except OSError as error:
            raise _cannot_listen(settings, error) from error
        yield bound


def _cannot_listen(settings: GatewaySettings, error: OSError) -> SetupError:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return SetupError(
            f"Port {settings.port} on {settings.host} is taken.",
            step="start",
            remedy="If `muxi-runtime status` does not know it, stop what holds it or set gateway.port in muxi.yaml.",
        )
    return SetupError(
        f"The address {where} cannot be listened on: {error.strerror}.",
        step="start",
        remedy="Set gateway.host in muxi.yaml to an address of this machine.",
    )


def url_of(settings: GatewaySettings, bound: socket.socket) -> str:
    """The endpoint as a client on this machine reaches it."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 # nosec B104 # compared, not bound
    port = bound.getsockname()[1]
    return f"http://[{host}]:{port}/mcp" if ":" in host else f"http://{host}:{port}/mcp"


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which ends the process before sandboxes are cleaned up."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self.servers = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_http(app: ASGIApp, bound: socket.socket, *, ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever connects could say that it is another address.
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
        http=Connection,  # on h11, not what is installed: other parsers take endless headers before the key is checked
    )
    server = _Server(config, ready)
    async with anyio.create_task_group() as group:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

            async def stop_on_signal() -> None:
                async for _ in signals:
                    server.should_exit = True

            group.start_soon(stop_on_signal)
            try:
                await server.serve(sockets=[bound])
            finally:
                for accepting in server.servers:
                    accepting.close()  # where it is cancelled: the event loop would watch this descriptor's next owner
            group.cancel_scope.cancel()
