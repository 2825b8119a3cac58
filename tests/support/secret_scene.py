"""A proxy for one sandbox whose server has secrets, and hosts over TLS and plain that write down what reaches them."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import anyio
from anyio import to_thread
from egress_scene import CLIENT_SECONDS, Host, Notes, host, read_all
from local_site import make_certificate

from muxi_sandbox.contract import SecretPlace, SecretRoute
from muxi_sandbox.egress.addresses import FixedResolver
from muxi_sandbox.egress.authority import Authority
from muxi_sandbox.egress.contract import Destination, Grant, Peer, Verdict
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.reading import Secrets
from muxi_sandbox.egress.settings import EgressSettings

__all__ = [
    "LEAKS",
    "MINE",
    "NAME",
    "OTHERS",
    "VALUE",
    "Keeper",
    "SecretScene",
    "basic",
    "clean",
    "echo",
    "get",
    "post",
    "read_request",
    "secret_scene",
    "status",
    "tls_host",
]

NAME = "api.test"
VALUE = "hunter2/hunter2+="
MINE = "muxi-secret-" + "0a" * 16
OTHERS = "muxi-secret-" + "0b" * 16
"""A placeholder of some other server."""


@dataclass
class Keeper:
    """A vault in memory that says yes unless told otherwise."""

    value: str = VALUE
    verdict: Verdict = field(default_factory=lambda: Verdict(allowed=True, rule="test-secret"))
    asked: list[tuple[str, str]] = field(default_factory=list)
    broken: bool = False

    async def grant(self, peer: Peer, name: str, destination: Destination) -> Grant:
        assert peer.task == "t-1"
        self.asked.append((name, destination.place))
        return Grant(self.verdict, self.value if self.verdict.allowed else "")

    async def values(self, names: Sequence[str]) -> Mapping[str, str]:
        if self.broken:
            raise RuntimeError("the vault is broken")
        return dict.fromkeys(names, self.value)


def read_request(connection: socket.socket) -> bytes:
    """One request with its body, counted or chunked."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    chunked = b"transfer-encoding: chunked" in head.lower()
    while (lengths and len(body) < lengths[0]) or (chunked and not body.endswith(b"0\r\n\r\n")):
        more = connection.recv(65536)
        if not more:  # cut short: what came is what it is
            break
        body += more
    return head + b"\r\n\r\n" + body


def echo(connection: socket.socket, found: Host) -> None:
    """Answers each request with the request itself."""
    while request := read_request(connection):
        found.received.append(request)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Seen: %b\r\n" % request.split(b"\r\n")[0])
        connection.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(request), request))


@contextmanager
def tls_host(
    folder: Path,
    serve: Callable[[socket.socket, Host], None] = echo,
    name: str = NAME,
    address: str = "127.0.0.1",
) -> Iterator[tuple[Host, Path]]:
    """A host over TLS, and the certificate of its authority."""
    folder.mkdir()
    certificate, authority = make_certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def secure(connection: socket.socket, found: Host) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            serve(wrapped, found)

    with host(secure, address) as found:
        yield found, authority


@dataclass(frozen=True)
class SecretScene:
    """One sandbox's way out, for a client that trusts the authority of sandboxes."""

    path: Path
    notes: Notes
    keeper: Keeper
    authority: Authority

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(CLIENT_SECONDS)
        client.connect(str(self.path))
        return client

    @contextmanager
    def secure(self, port: int, name: str = NAME) -> Iterator[ssl.SSLSocket]:
        """TLS inside a tunnel, verified against the authority of sandboxes alone."""
        context = ssl.create_default_context(cadata=self.authority.certificate().decode())
        with self.connect() as client:
            client.sendall(f"CONNECT {name}:{port} HTTP/1.1\r\n\r\n".encode())
            answer = client.recv(65536)
            assert b" 200 " in answer, answer
            with context.wrap_socket(client, server_hostname=name) as wrapped:
                yield wrapped

    async def ask(self, port: int, *parts: bytes) -> bytes:
        """Send the parts over TLS, and read until the proxy closes."""

        def run() -> bytes:
            with self.secure(port) as client:
                for part in parts:
                    client.sendall(part)
                return read_all(client)

        return await to_thread.run_sync(run)

    async def ask_plain(self, *parts: bytes) -> bytes:
        """Send the parts to the proxy itself."""

        def run() -> bytes:
            with self.connect() as client:
                for part in parts:
                    client.sendall(part)
                return read_all(client)

        return await to_thread.run_sync(run)

    def told(self, kind: str) -> list[Mapping[str, object]]:
        return [facts for told, facts in self.notes.told if told == kind]


@asynccontextmanager
async def secret_scene(
    folder: Path,
    *,
    allow: tuple[int, ...],
    hosts: tuple[int, ...],
    places: tuple[SecretPlace, ...] = ("header",),
    trust: Path | None = None,
    keeper: Keeper | None = None,
    names: tuple[str, ...] = (NAME,),
) -> AsyncIterator[SecretScene]:
    """A proxy for one sandbox that may connect to ports of `NAME`, and whose secret is for some of them."""
    keeper, notes = keeper or Keeper(), Notes()
    authority = Authority(folder / "authority.pem")
    allowed = tuple(f"{name}:{port}" for name in names for port in allow)
    settings = EgressSettings(private=allowed, head_seconds=5)
    resolver = FixedResolver({name: ["127.0.0.1"] for name in names})
    proxy = EgressProxy(settings, notes, resolver=resolver, secrets=Secrets(keeper, authority, trust))
    route = SecretRoute(name="TOKEN", placeholder=MINE, hosts=tuple(f"{NAME}:{port}" for port in hosts), places=places)
    path = folder / "egress.sock"
    async with proxy.serve(path, Peer("t-1", "web", "sandbox-1", allowed, (route,))):
        with anyio.fail_after(50):
            yield SecretScene(path, notes, keeper, authority)


LEAKS = [VALUE, quote(VALUE, safe=""), quote(VALUE, safe="").lower(), VALUE.replace("/", r"\/")]


def get(port: int, *headers: str, target: str = "/", close: bool = True) -> bytes:
    lines = [f"GET {target} HTTP/1.1", f"Host: {NAME}:{port}", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode()


def post(port: int, body: bytes, kind: str, *headers: str) -> bytes:
    lines = ["POST / HTTP/1.1", f"Host: {NAME}:{port}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "Connection: close", "", ""]).encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def clean(scene: SecretScene, answer: bytes) -> bool:
    """No form of the value in what the sandbox got, nor in what was noted."""
    text = answer.decode("latin-1") + json.dumps(scene.notes.told, default=str)
    return not any(leak in text for leak in [*LEAKS, basic(f"git:{VALUE}")[6:]])
