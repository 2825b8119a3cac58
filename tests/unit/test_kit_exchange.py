"""What is sent to a host is what was announced to it."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from muxi_servers.kit.client.exchange import Exchange, Request
from muxi_servers.kit.client.urls import parse_url
from muxi_servers.kit.errors import ToolError


class Host:
    """Has answered before it was asked; `received` gives what came after the head."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self.theirs = theirs
        self.errand: Any = SimpleNamespace(connect=lambda *_: ours, explain=str, check=lambda: None)
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def ask(self, file: io.BytesIO, length: int) -> bytes:
        request = Request(parse_url("http://files.test/a"), "PUT", [], file, length)
        return Exchange("http", "a test").ask(self.errand, request, 100).body

    def received(self) -> tuple[bytes, bytes]:
        head, _, body = b"".join(iter(lambda: self.theirs.recv(65_536), b"")).partition(b"\r\n\r\n")
        return head, body


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Host(ours, theirs)


@pytest.mark.parametrize("length", [0, 4, 20_000])
def test_of_a_file_that_grows_no_more_is_sent_than_was_announced(host: Host, length: int) -> None:
    file = io.BytesIO(b"a" * length + b"\r\nPUT http://files.test/b HTTP/1.1\r\n\r\n")
    assert host.ask(file, length) == b"ok"
    head, body = host.received()
    assert f"Content-Length: {length}".encode() in head
    assert body == b"a" * length


def test_a_file_that_becomes_shorter_is_no_request(host: Host) -> None:
    with pytest.raises(ToolError, match="became shorter"):
        host.ask(io.BytesIO(b"aa"), 4)


@pytest.mark.parametrize(("method", "announced"), [("POST", 1), ("PUT", 1), ("GET", 0), ("DELETE", 0)])
def test_a_request_without_a_body_says_so_where_one_is_expected(host: Host, method: str, announced: int) -> None:
    Exchange("http", "a test").ask(host.errand, Request(parse_url("http://files.test/a"), method), 100)
    head, body = host.received()
    assert (head.count(b"Content-Length: 0"), body) == (announced, b"")
