"""What the egress proxy costs: a connection through it and 10 MiB, beside the same without it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from anyio import to_thread
from tests.benchmarks.pool_timings import OpenGate
from tests.benchmarks.timings import Measure, Sample

from muxi_sandbox.egress.addresses import FixedResolver
from muxi_sandbox.egress.contract import Peer
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.settings import EgressSettings

__all__ = ["egress_measures"]

SIZE = 10 * 2**20


@contextmanager
def source() -> Iterator[int]:
    """A server on loopback that sends 10 MiB to whoever says something; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if connection.recv(16) == b"go":
                        connection.sendall(bytes(SIZE))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@asynccontextmanager
async def egress_measures(folder: Path) -> AsyncIterator[list[Measure]]:
    """Set-up and download, direct and through the proxy."""
    with source() as port:
        name = f"site.test:{port}"
        settings = EgressSettings(private=(name,), connections_per_second=10_000)
        proxy = EgressProxy(settings, OpenGate(), resolver=FixedResolver({"site.test": ("127.0.0.1",)}))
        path = folder / "egress.sock"

        def direct() -> socket.socket:
            return socket.create_connection(("127.0.0.1", port))

        def through() -> socket.socket:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.connect(str(path))
            client.sendall(f"CONNECT {name} HTTP/1.1\r\n\r\n".encode())
            client.recv(1024)
            return client

        async with proxy.serve(path, Peer("bench", "bench", "bench", (name,))):
            yield [
                Measure("egress: connect directly", _sampled(direct, _set_up), repeat=5),
                Measure("egress: connect through the proxy", _sampled(through, _set_up), repeat=5),
                Measure("egress: 10 MiB directly", _sampled(direct, _download), repeat=3),
                Measure("egress: 10 MiB through the proxy", _sampled(through, _download), repeat=3),
            ]


Work = Callable[[Callable[[], socket.socket]], float]


def _sampled(connect: Callable[[], socket.socket], work: Work) -> Sample:
    return lambda: to_thread.run_sync(work, connect)


def _set_up(connect: Callable[[], socket.socket]) -> float:
    started = time.perf_counter()
    with connect() as connection:
        taken = time.perf_counter() - started
        connection.sendall(b"no")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1024):
            pass
    return taken * 1000


def _download(connect: Callable[[], socket.socket]) -> float:
    buffer = bytearray(2**18)
    with connect() as connection:
        started = time.perf_counter()
        connection.sendall(b"go")
        left = SIZE
        while left and (size := connection.recv_into(buffer)):
            left -= size
        taken = time.perf_counter() - started
    if left:
        raise RuntimeError(f"{left} bytes did not come")
    return taken * 1000
