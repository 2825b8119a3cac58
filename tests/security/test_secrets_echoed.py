"""Secrets that a host sends back: the sandbox gets its placeholder, or nothing."""

from __future__ import annotations

import base64
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

from muxi_sandbox.egress import reading
from muxi_sandbox.egress.websocket import frame

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


def websocket(connection: socket.socket, found: Host) -> None:
    """Says again what it is told; what it was sent in Authorization byte by byte, when it is told `leak`."""
    found.received.append(read_request(connection))
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    while data := connection.recv(65536):
        if data != b"leak":
            connection.sendall(frame(1, data))
            continue
        for byte in frame(1, b"key: ", final=False) + frame(0, VALUE.encode()):
            connection.sendall(bytes([byte]))


def upgrade(port: int, *headers: str) -> bytes:
    asked = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Extensions: permessage-deflate")
    return get(port, *asked, *headers, close=False)


def one_frame(client: socket.socket) -> bytes:
    """A short one's payload, or what comes of it before the end."""
    data = client.recv(2)
    while 0 < len(data) < 2 + (data[1] if len(data) > 1 else 0):
        more = client.recv(65536)
        if not more:
            break
        data += more
    return data[2:]


@pytest.mark.promise("secrets-do-not-come-back")
async def test_over_a_websocket_the_value_comes_as_its_placeholder_in_whatever_pieces(tmp_path: Path) -> None:
    def talk(scene: SecretScene, port: int) -> list[bytes]:
        with scene.secure(port) as client:
            client.sendall(upgrade(port, f"Authorization: Bearer {MINE}"))
            parts = [client.recv(65536)]
            for word in (b"hello", b"leak", b"again"):
                client.sendall(word)
                parts.append(one_frame(client))
            return parts

    with tls_host(tmp_path / "site", websocket) as (found, trust):
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
            head, *words = await to_thread.run_sync(talk, scene, found.port)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"permessage-deflate" not in found.received[0]
            assert f"Bearer {VALUE}".encode() in found.received[0]
            assert words == [b"hello", f"key: {MINE}".encode(), b"again"]


@pytest.mark.promise("secrets-do-not-come-back")
async def test_what_is_no_websocket_after_the_upgrade_is_cut_off(tmp_path: Path) -> None:
    def serve(connection: socket.socket, found: Host) -> None:
        found.received.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        connection.sendall(b"now " + VALUE.encode())

    def talk(scene: SecretScene, port: int) -> bytes:
        with scene.secure(port) as client:
            client.sendall(upgrade(port, f"Authorization: Bearer {MINE}"))
            return read_all(client)

    with tls_host(tmp_path / "site", serve) as (found, trust):
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
            answer = await to_thread.run_sync(talk, scene, found.port)
            assert answer.partition(b"\r\n\r\n")[2] == b""
            assert VALUE.encode() not in answer


@pytest.mark.promise("secrets-do-not-come-back")
@pytest.mark.parametrize("name", ["Sec-WebSocket-Key", "sec-websocket-protocol"])
@pytest.mark.parametrize("value", [MINE, f"Basic {base64.b64encode(MINE.encode()).decode()}"])
async def test_no_value_is_put_where_a_host_answers_with_its_digest(tmp_path: Path, name: str, value: str) -> None:
    with tls_host(tmp_path / "site", websocket) as (found, trust):
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
            answer = await scene.ask(found.port, upgrade(found.port, f"{name}: {value}"))
            assert found.received == []
            assert status(answer) == 403
            assert b"handshake of a WebSocket" in answer


@pytest.mark.promise("secrets-do-not-come-back")
@pytest.mark.parametrize("over", ["requests", "websocket"])
async def test_a_connection_that_was_open_when_a_secret_was_rotated_masks_both_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    monkeypatch.setattr(reading, "LOOK_SECONDS", 0)
    fresh = "correct-horse-battery"

    def serve(connection: socket.socket, found: Host) -> None:
        if over == "websocket":
            websocket(connection, found)
            return
        while b"GET" in (asked := read_request(connection)):
            found.received.append(asked)
            body = f"{VALUE} {fresh}".encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def talk(scene: SecretScene, port: int) -> bytes:
        ask = upgrade if over == "websocket" else lambda port, *headers: get(port, *headers, close=False)
        with scene.secure(port) as client:
            client.sendall(ask(port, f"Authorization: Bearer {MINE}"))
            seen = client.recv(65536)
            while over == "requests" and not seen.endswith(b"0\r\n\r\n"):
                seen += client.recv(65536)
            scene.keeper.value = fresh
            if over == "websocket":
                client.sendall(f"{VALUE} {fresh}".encode())
                return one_frame(client)
            client.sendall(get(port))
            return read_all(client).partition(b"\r\n\r\n")[2]

    with tls_host(tmp_path / "site", serve) as (found, trust):
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
            answer = await to_thread.run_sync(talk, scene, found.port)
            assert f"{MINE} {MINE}".encode() in answer
            assert fresh.encode() not in answer
