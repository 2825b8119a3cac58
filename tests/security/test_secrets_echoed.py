"""Secrets that a host sends back: the sandbox gets its placeholder, or nothing."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from anyio import to_thread
from egress_scene import Host, read_all
from secret_scene import (
    LEAKS,
    MINE,
    VALUE,
    SecretScene,
    clean,
    get,
    read_request,
    secret_scene,
    status,
    tls_host,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def echoing_in(kind: str):
    def serve(connection: socket.socket, found: Host) -> None:
        request = read_request(connection)
        found.received.append(request)
        head = b"HTTP/1.1 200 OK\r\nSet-Cookie: t=%b\r\n" % VALUE.encode()
        forms = b"|".join(leak.encode() for leak in LEAKS)
        if kind == "chunks":
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for byte in forms:
                connection.sendall(b"1\r\n%c\r\n" % byte)
            connection.sendall(b"0\r\n\r\n")
        elif kind == "close":
            connection.sendall(head + b"\r\n")
            for byte in forms:
                connection.sendall(bytes([byte]))
        elif kind == "error":
            body = b"<p>" + forms
            connection.sendall(head.replace(b"200", b"500") + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        elif kind == "hint":
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % forms)
            connection.sendall(head + b"Content-Length: 0\r\n\r\n")

    return serve


@pytest.mark.promise("secrets-do-not-come-back")
@pytest.mark.parametrize("kind", ["chunks", "close", "error", "hint"])
@pytest.mark.parametrize("asks", ["with the placeholder", "without"])
async def test_a_host_that_sends_the_value_back_gives_the_sandbox_its_placeholder(
    tmp_path: Path, kind: str, asks: str
) -> None:
    with tls_host(tmp_path / "site", echoing_in(kind)) as (found, trust):
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
            header = f"X-Key: {MINE}" if asks == "with the placeholder" else "X-Key: none"
            answer = await scene.ask(found.port, get(found.port, header))
            assert b"Set-Cookie: t=" + MINE.encode() in answer
            assert clean(scene, answer)
            assert answer.count(MINE.encode()) >= (2 if kind == "hint" else 4)


@pytest.mark.promise("secrets-do-not-come-back")
async def test_an_answer_is_asked_for_uncompressed_and_a_compressed_one_is_refused(tmp_path: Path) -> None:
    def serve(connection: socket.socket, found: Host) -> None:
        found.received.append(read_request(connection))
        how = f"gzip, {VALUE}".encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 2\r\n\r\nxx" % how)

    with tls_host(tmp_path / "site", serve) as (found, trust):
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
            sent = get(found.port, "Accept-Encoding: gzip, br", "Range: bytes=0-3,4-9", f"X-Key: {MINE}")
            answer = await scene.ask(found.port, sent)
            assert b"Accept-Encoding: identity\r\n" in found.received[0]
            assert b"Range:" not in found.received[0]
            assert clean(scene, answer)
            assert VALUE.lower().encode() not in answer.lower()
            assert b"gzip, br" not in found.received[0]
            assert status(answer) == 403
            assert b"compresses" in answer


@pytest.mark.promise("secrets-do-not-come-back")
async def test_after_an_upgrade_bytes_pass_both_ways_until_the_value_would_come_back(tmp_path: Path) -> None:
    def serve(connection: socket.socket, found: Host) -> None:
        found.received.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := connection.recv(65536):
            connection.sendall(VALUE.encode() if data == b"leak" else data)

    def talk(scene: SecretScene, port: int) -> list[bytes]:
        with scene.secure(port) as client:
            client.sendall(
                get(
                    port,
                    "Upgrade: websocket",
                    "Connection: Upgrade",
                    "Sec-WebSocket-Extensions: permessage-deflate",
                    f"Authorization: Bearer {MINE}",
                    close=False,
                )
            )
            parts = [client.recv(65536)]
            for word in (b"hello", b"leak"):
                client.sendall(word)
                parts.append(read_all(client) if word == b"leak" else client.recv(65536))
            return parts

    with tls_host(tmp_path / "site", serve) as (found, trust):
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
            head, hello, rest = await to_thread.run_sync(talk, scene, found.port)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"permessage-deflate" not in found.received[0]
            assert f"Bearer {VALUE}".encode() in found.received[0]
            assert (hello, rest) == (b"hello", b"")
