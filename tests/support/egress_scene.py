"""A proxy with a client on its Unix socket, and hosts on loopback that write down what reaches them."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from muxi_sandbox.egress.addresses import FixedResolver
from muxi_sandbox.egress.contract import Destination, Peer, Verdict
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.settings import EgressSettings

__all__ = ["Host", "Notes", "Scene", "egress_scene", "host", "read_all"]

CLIENT_SECONDS = 10
ALLOWED = Verdict(allowed=True, rule="test-rule")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass
class Host:
    """A server on loopback. `received` is all that its connections sent, one item each."""

    port: int
    received: list[bytes] = field(default_factory=list)
    connections: int = 0
    connected: threading.Event = field(default_factory=threading.Event)


@contextmanager
def host(serve: Callable[[socket.socket, Host], None] | None = None, address: str = "127.0.0.1") -> Iterator[Host]:
    """Listen for the block; by default each connection gets one answer after its first bytes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((address, 0))
        listener.listen()
        found = Host(listener.getsockname()[1])
        stopping = threading.Event()

        def accept() -> None:
            while not stopping.is_set():
                connection, _ = listener.accept()
                if stopping.is_set():
                    connection.close()
                    return
                found.connections += 1
                found.connected.set()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            connection.settimeout(CLIENT_SECONDS)
            with connection, suppress(OSError):  # the other side goes away, as some tests want
                (serve or answer_once)(connection, found)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            stopping.set()
            with socket.create_connection((address, found.port)):
                thread.join()


def answer_once(connection: socket.socket, found: Host) -> None:
    data = connection.recv(65536)
    found.received.append(data)
    connection.sendall(ANSWER)


@dataclass
class Notes:
    """A gatekeeper that writes down what it is asked and told."""

    verdict: Verdict = ALLOWED
    asked: list[Destination] = field(default_factory=list)
    told: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    broken: bool = False
    closed: anyio.Event = field(default_factory=anyio.Event)

    async def decide(self, peer: Peer, destination: Destination) -> Verdict:
        assert peer.task == "t-1"
        self.asked.append(destination)
        return self.verdict

    async def tell(self, peer: Peer, kind: str, facts: Mapping[str, Any]) -> None:
        assert peer.server == "web"
        if self.broken:
            raise RuntimeError("the journal cannot be written")
        self.told.append((kind, facts))
        if kind == "egress.closed":
            self.closed.set()

    def refusals(self) -> list[str]:
        """Rules of what was refused."""
        return [facts["rule"] for kind, facts in self.told if kind == "egress.decided" and not facts["allowed"]]


@dataclass(frozen=True)
class Scene:
    """One sandbox's way out, for a client."""

    path: Path
    notes: Notes

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(CLIENT_SECONDS)
        client.connect(str(self.path))
        return client

    async def ask(self, *parts: bytes) -> bytes:
        """Send the parts, and read until the proxy closes."""
        return await to_thread.run_sync(self._ask, parts)

    def _ask(self, parts: tuple[bytes, ...]) -> bytes:
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            return read_all(client)

    async def tunnel(self, authority: str, *parts: bytes) -> tuple[bytes, bytes]:
        """The answer to a CONNECT, then what comes through after the parts are sent."""

        def run() -> tuple[bytes, bytes]:
            with self.connect() as client:
                client.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
                head = client.recv(65536)
                if b" 200 " not in head.split(b"\r\n")[0]:
                    return head + read_all(client), b""
                for part in parts:
                    client.sendall(part)
                return head, read_all(client)

        return await to_thread.run_sync(run)


def read_all(client: socket.socket) -> bytes:
    data = b""
    while True:
        try:
            more = client.recv(65536)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


@asynccontextmanager
async def egress_scene(
    folder: Path,
    *,
    allow: tuple[str, ...],
    names: Mapping[str, tuple[str, ...]] | None = None,
    notes: Notes | None = None,
    **settings: Any,
) -> AsyncIterator[Scene]:
    """A proxy for one sandbox, which may connect to what `allow` says."""
    notes = notes or Notes()
    proxy = EgressProxy(EgressSettings(**settings), notes, resolver=FixedResolver(names or {}))
    path = folder / "egress.sock"
    async with proxy.serve(path, Peer("t-1", "web", "sandbox-1", allow)):
        with anyio.fail_after(50):
            yield Scene(path, notes)
