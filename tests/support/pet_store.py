"""A small API over HTTP, that `api_documents/pets.yaml` describes: pages, a key, problems, a flood."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from api_document import text_of

__all__ = ["KEY", "PetStore", "Received", "pet_store"]

KEY = "the-key-of-the-pet-store"
NAMES = ("Ada", "Bello", "Cleo", "Dora", "Emil")
PIECE = b"x" * 65_536


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PetStore:
    """Where it is, and what came. `edit` changes the document that it gives out.

    Attributes:
        waiting: set when a client waits for the pet `slow`, which never comes; `released` when it went away.
    """

    address: str
    port: int = 0
    tls_port: int = 0
    received: list[Received] = field(default_factory=list)
    edit: Callable[[str], str] = lambda text: text
    waiting: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    @property
    def api_host(self) -> str:
        return f"{self.address}:{self.tls_port or self.port}"

    @property
    def api_origin(self) -> str:
        """Where its document says that it is: over TLS, if it is."""
        return f"http{'s' if self.tls_port else ''}://{self.api_host}"

    @property
    def document(self) -> bytes:
        return self.edit(text_of("pets.yaml", origin=self.api_origin).decode()).encode()

    def lines(self) -> list[str]:
        return [received.line for received in self.received]


@contextmanager
def pet_store(address: str = "127.0.0.1", certificate: Path | None = None) -> Iterator[PetStore]:
    """Open for the block. It takes whole URLs too, as a proxy would. With a certificate it is open over TLS as well."""
    store = PetStore(address)

    class Handler(_Handler):
        pets = store

    with serving(address, Handler, None) as port, ExitStack() as stack:
        store.port = port
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            store.tls_port = stack.enter_context(serving(address, Handler, context))
        yield store


@contextmanager
def serving(address: str, handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None) -> Iterator[int]:
    """On a free port."""
    with ThreadingHTTPServer((address, 0), handler) as server:
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    pets: PetStore
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        line = f"{self.command} {parts.path}{'?' if parts.query else ''}{parts.query}"
        self.pets.received.append(Received(line, dict(self.headers.items()), body))
        if parts.path == "/openapi.yaml":
            self.answer(200, self.pets.document, "application/yaml")
        elif self.headers.get("X-Api-Key") != KEY:
            self.problem(401, "Show your key", f"{self.headers.get('X-Api-Key')} is none.")
        else:
            self.route(parts.path.removeprefix("/v1"), parse_qs(parts.query), body)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the names are the library's

    def route(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        if path == "/pets" and self.command == "GET":
            self.page(query)
        elif path == "/pets":
            self.json(201, {"id": "new", **json.loads(body)})
        elif path.startswith("/pets/") and self.command == "GET":
            self.pet(unquote(path.removeprefix("/pets/")))
        elif path == "/log":
            self.log(int(query.get("page", ["1"])[0]))
        elif path == "/flood":
            self.flood()
        elif path == "/elsewhere":
            self.answer(302, b"", "text/plain", Location="http://evil.example/v1/pets")
        else:
            self.answer(204, b"", "")

    def page(self, query: dict[str, list[str]]) -> None:
        limit, first = int(query.get("limit", ["2"])[0]), int(query.get("cursor", ["0"])[0])
        pets = [{"id": str(n), "name": name} for n, name in enumerate(NAMES)][first : first + limit]
        more = {"next_cursor": str(first + limit)} if first + limit < len(NAMES) else {"next_cursor": None}
        self.json(200, {"items": pets, **more})

    def pet(self, name: str) -> None:
        if name == "odd":
            self.json(200, {"name": 7})
        elif name == "picture":
            self.answer(200, b"\x89PNG\0", "image/png")
        elif name == "slow":
            self.pets.waiting.set()
            self.rfile.read(1)  # until the other side goes away
            self.pets.released.set()
        elif name in NAMES:
            self.json(200, {"id": name, "name": name})
        else:
            self.problem(404, "No such pet", f"There is no pet {name!r}.")

    def log(self, page: int) -> None:
        link = (
            f'<{self.pets.origin}/v1/log?page={page + 1}>; rel="next"' if page < 3 else '</v1/log?page=1>; rel="first"'
        )
        if page == 2:
            link = f'</v1/log?page=3>; title="a, b"; rel=next, <{self.pets.origin}/v1/log?page=1>; rel=prev'
        self.json(200, [f"event {page}"], Link=link)

    def flood(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while True:
                self.wfile.write(PIECE)
        except OSError:
            self.close_connection = True

    def problem(self, status: int, title: str, detail: str) -> None:
        self.answer(status, json.dumps({"title": title, "detail": detail}).encode(), "application/problem+json")

    def json(self, status: int, value: Any, **headers: str) -> None:
        self.answer(status, json.dumps(value).encode(), "application/json", **headers)

    def answer(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind} if kind else {}).items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not to standard error."""
