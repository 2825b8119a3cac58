"""Secrets at the proxy: a value reaches its own host in its own place, and nothing else does."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from anyio import to_thread
from egress_scene import Host, host, read_all
from secret_scene import (
    MINE,
    NAME,
    OTHERS,
    VALUE,
    Keeper,
    SecretScene,
    basic,
    clean,
    echo,
    get,
    post,
    read_request,
    secret_scene,
    status,
    tls_host,
)

from muxi_sandbox.egress.contract import Verdict

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Host, Path]]:
    with tls_host(tmp_path / "site") as found:
        yield found


@pytest.mark.promise("secrets-only-to-their-host")
@pytest.mark.parametrize(
    ("header", "arrives"),
    [
        (f"Authorization: Bearer {MINE}", f"Authorization: Bearer {VALUE}"),
        (f"X-Api-Key: {MINE.replace('-', '%2D')}", f"X-Api-Key: {VALUE}"),
        (f"Authorization: {basic(f'git:{MINE}')}", f"Authorization: {basic(f'git:{VALUE}')}"),
    ],
)
async def test_a_value_is_put_into_a_header_for_its_host_and_does_not_come_back(
    tmp_path: Path, site: tuple[Host, Path], header: str, arrives: str
) -> None:
    found, trust = site
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
        answer = await scene.ask(found.port, get(found.port, header))
        assert arrives.encode() in found.received[0]
        assert status(answer) == 200
        # The host sends all of it back: the sandbox sees what it sent.
        assert header.replace("%2D", "-").encode() in answer
        assert clean(scene, answer)
        used = scene.told("secret.used")
        assert [(one["name"], one["host"], one["rule"]) for one in used] == [("TOKEN", NAME, "test-secret")]


@pytest.mark.promise("secrets-only-to-their-host")
@pytest.mark.parametrize(
    ("place", "request_of", "arrives"),
    [
        ("query", lambda port: get(port, target=f"/?key={MINE}&a=1"), f"/?key={quote(VALUE, safe='')}&a=1"),
        ("path", lambda port: get(port, target=f"/bot{MINE}/send"), f"/bot{quote(VALUE, safe='')}/send"),
        ("body", lambda port: post(port, MINE.encode(), "text/plain"), f"\r\n\r\n{VALUE}"),
        (
            "body",
            lambda port: post(port, f"a=1&k={MINE}".encode(), "application/x-www-form-urlencoded"),
            f"a=1&k={quote(VALUE, safe='')}",
        ),
        (
            "body",
            lambda port: post(port, json.dumps({"k": MINE}).encode(), "application/json; charset=utf-8"),
            json.dumps({"k": VALUE}),
        ),
    ],
)
async def test_a_value_stands_in_its_declared_place_as_that_is_written(
    tmp_path: Path, site: tuple[Host, Path], place, request_of, arrives: str
) -> None:
    found, trust = site
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), places=(place,), trust=trust) as scene:
        answer = await scene.ask(found.port, request_of(found.port))
        assert arrives.encode() in found.received[0]
        assert status(answer) == 200
        assert clean(scene, answer)
    async with secret_scene(
        tmp_path, allow=(found.port,), hosts=(found.port,), places=("header",), trust=trust
    ) as scene:
        refused = await scene.ask(found.port, request_of(found.port))
        assert status(refused) == 403
        assert VALUE.encode() not in b"".join(found.received[1:])
        assert len(scene.told("secret.refused")) == 1


async def test_a_body_in_chunks_is_put_together_and_replaced(tmp_path: Path, site: tuple[Host, Path]) -> None:
    found, trust = site
    head = f"POST / HTTP/1.1\r\nHost: {NAME}:{found.port}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    halves = MINE[:20], MINE[20:]
    chunks = "".join(f"{len(half):x}\r\n{half}\r\n" for half in halves) + "0\r\n\r\n"
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), places=("body",), trust=trust) as scene:
        answer = await scene.ask(found.port, (head + chunks).encode())
        assert found.received[0].endswith(f"Content-Length: {len(VALUE)}\r\nConnection: close\r\n\r\n{VALUE}".encode())
        assert clean(scene, answer)


@pytest.mark.promise("secrets-only-to-their-host")
@pytest.mark.parametrize("placeholder", [MINE, OTHERS])
@pytest.mark.parametrize("how", ["header", "basic", "query", "path", "body", "chunks", "name"])
async def test_a_placeholder_towards_another_host_is_refused_and_told(
    tmp_path: Path, site: tuple[Host, Path], placeholder: str, how: str
) -> None:
    found, trust = site
    port = found.port
    chunked = f"POST / HTTP/1.1\r\nHost: {NAME}:{port}\r\nTransfer-Encoding: chunked\r\n\r\n2c\r\n{placeholder}\r\n"
    requests = {
        "header": get(port, f"Cookie: a={placeholder}"),
        "basic": get(port, f"Authorization: {basic(f'u:{placeholder}')}"),
        "query": get(port, target=f"/?{placeholder}"),
        "path": get(port, target=f"/%{ord('m'):x}{placeholder[1:]}"),
        "body": post(port, b"x" * 50 + base64.b64encode(placeholder.encode()), "text/plain"),
        "chunks": chunked.encode() + b"0\r\n\r\n",
        "name": get(port, f"{placeholder}: a"),
    }
    async with secret_scene(tmp_path, allow=(port, 1), hosts=(1,), trust=trust) as scene:
        answer = await scene.ask(port, requests[how])
        assert status(answer) == 403
        assert b"X-Muxi-Rule: secret" in answer
        assert VALUE.encode() not in b"".join(found.received)
        assert placeholder.encode() not in b"".join(found.received)
        assert [one["host"] for one in scene.told("secret.refused")] == [NAME]
        assert scene.told("secret.used") == []
        assert scene.keeper.asked == []


@pytest.mark.promise("secrets-only-to-their-host")
async def test_another_server_s_placeholder_is_refused_at_the_host_of_one_s_own(
    tmp_path: Path, site: tuple[Host, Path]
) -> None:
    found, trust = site
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
        answer = await scene.ask(found.port, get(found.port, f"Authorization: Bearer {OTHERS}"))
        assert status(answer) == 403
        assert found.received == []
        assert [one["name"] for one in scene.told("secret.refused")] == [""]


@pytest.mark.promise("secrets-only-to-their-host")
async def test_each_request_on_a_kept_connection_is_checked_anew(tmp_path: Path, site: tuple[Host, Path]) -> None:
    found, trust = site
    port = found.port
    async with secret_scene(tmp_path, allow=(port,), hosts=(port,), trust=trust) as scene:
        first = get(port, f"Authorization: Bearer {MINE}", close=False)
        second = get(port, f"X-Two: {MINE}", close=False)
        answer = await scene.ask(port, first + second + get(port, f"X-Three: {OTHERS}", close=False))
        assert [answer.count(line) for line in (b"HTTP/1.1 200 OK", b"HTTP/1.1 403 Forbidden")] == [2, 1]
        assert [VALUE.encode() in request for request in found.received] == [True, True]
        assert found.connections == 1
        assert scene.keeper.asked == [("TOKEN", f"{NAME}:{port}")]
        assert clean(scene, answer)


SMUGGLED = [
    ("Host: other.test", "host"),
    (f"Host: {NAME}:1", "host"),
    (f"Host: {NAME}", "host"),
    (f"Host: {NAME}:PORT\r\nHost: other.test", "host"),
    (f"Host: {NAME}:PORT\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "request"),
    (f"Host: {NAME}:PORT\r\nContent-Length: 5\r\nContent-Length: 6", "request"),
    (f"Host: {NAME}:PORT\r\nTransfer-Encoding: gzip, chunked", "request"),
    (f"Host: {NAME}:PORT\r\nX: a\rGET / HTTP/1.1", "request"),
    (f"Host : {NAME}:PORT", "request"),
    ("X: y", "host"),
]


@pytest.mark.promise("secrets-only-to-their-host")
@pytest.mark.parametrize(("lines", "rule"), SMUGGLED)
async def test_a_request_that_could_be_read_in_two_ways_or_is_for_another_host_is_refused(
    tmp_path: Path, site: tuple[Host, Path], lines: str, rule: str
) -> None:
    found, trust = site
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
        good = get(found.port, close=False)
        bad = f"GET / HTTP/1.1\r\n{lines}\r\nAuthorization: Bearer {MINE}\r\n\r\n".replace("PORT", str(found.port))
        answer = await scene.ask(found.port, good + bad.encode())
        assert answer.count(b"HTTP/1.1 200 OK") == 1
        assert f"X-Muxi-Rule: {rule}".encode() in answer
        assert len(found.received) == 1


@pytest.mark.parametrize("target", ["http://other.test/", "https://api.test/", "other.test:443", "*x", "/a#b"])
async def test_a_target_in_a_tunnel_is_a_path(tmp_path: Path, site: tuple[Host, Path], target: str) -> None:
    found, trust = site
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:
        assert status(await scene.ask(found.port, get(found.port, target=target))) == 400
        assert found.received == []


@pytest.mark.promise("secrets-fail-closed")
async def test_a_vault_that_cannot_be_read_lets_nothing_through(tmp_path: Path, site: tuple[Host, Path]) -> None:
    found, trust = site
    keeper = Keeper(broken=True)
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust, keeper=keeper) as scene:
        answer = await scene.ask(found.port, get(found.port, f"X-Key: {MINE}"))
        assert status(answer) == 403
        assert found.received == []
        assert [one["name"] for one in scene.told("secret.refused")] == ["TOKEN"]


@pytest.mark.promise("secrets-fail-closed")
async def test_a_secret_that_is_missing_or_forbidden_is_refused_with_the_reason(
    tmp_path: Path, site: tuple[Host, Path]
) -> None:
    found, trust = site
    verdict = Verdict(allowed=False, rule="no-token", reason="The secret TOKEN is not set.", remedy="Set it.")
    keeper = Keeper(verdict=verdict)
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust, keeper=keeper) as scene:
        answer = await scene.ask(found.port, get(found.port, f"X-Key: {MINE}"))
        assert status(answer) == 403
        assert b"The secret TOKEN is not set. Set it. (rule no-token)" in answer
        assert found.received == []
        assert [one["rule"] for one in scene.told("secret.refused")] == ["no-token"]


@pytest.mark.promise("secrets-fail-closed")
async def test_a_use_that_cannot_be_noted_is_not_made(tmp_path: Path, site: tuple[Host, Path]) -> None:
    found, trust = site
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust) as scene:

        def run() -> bytes:
            with scene.secure(found.port) as client:
                scene.notes.broken = True
                client.sendall(get(found.port, f"X-Key: {MINE}"))
                try:
                    return read_all(client)
                except ssl.SSLError:
                    return b""

        assert await to_thread.run_sync(run) == b""
        assert found.received == []


@pytest.mark.promise("secrets-fail-closed")
async def test_a_value_with_a_line_break_is_never_sent(tmp_path: Path, site: tuple[Host, Path]) -> None:
    found, trust = site
    keeper = Keeper(value="one\r\nX-Other: two")
    async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trust, keeper=keeper) as scene:
        assert status(await scene.ask(found.port, get(found.port, f"X-Key: {MINE}"))) == 403
        assert found.received == []


@pytest.mark.promise("secrets-only-to-their-host")
@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_host_that_cannot_prove_its_name_gets_nothing(tmp_path: Path, wrong: str) -> None:
    with tls_host(tmp_path / "site", name=NAME if wrong == "authority" else "other.test") as (found, trust):
        trusted = None if wrong == "authority" else trust
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,), trust=trusted) as scene:
            answer = await scene.ask(found.port, get(found.port, f"X-Key: {MINE}"))
            assert status(answer) == 502
            assert b"X-Muxi-Rule: certificate" in answer
            assert found.received == []
            assert "certificate" in scene.notes.refusals()


async def test_a_plain_request_gets_its_value_too_and_is_refused_elsewhere(tmp_path: Path) -> None:
    with host(echo) as found:
        request = f"GET http://{NAME}:{found.port}/ HTTP/1.1\r\nAuthorization: Bearer {MINE}\r\n\r\n".encode()
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,)) as scene:
            answer = await scene.ask_plain(request)
            assert f"Bearer {VALUE}".encode() in found.received[0]
            assert clean(scene, answer)
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(1,)) as scene:
            assert status(await scene.ask_plain(request)) == 403
            assert len(found.received) == 1
            assert len(scene.told("secret.refused")) == 1


async def test_a_tunnel_of_another_protocol_passes_but_for_placeholders(tmp_path: Path) -> None:
    def serve(connection: socket.socket, found: Host) -> None:
        while data := connection.recv(65536):
            found.received.append(data)
            connection.sendall(data.upper())

    def talk(scene: SecretScene, port: int) -> bytes:
        with scene.connect() as client:
            client.sendall(f"CONNECT {NAME}:{port} HTTP/1.1\r\n\r\n".encode())
            client.recv(65536)
            client.sendall(b"hello")
            heard = client.recv(65536)
            client.sendall(MINE[:20].encode())
            client.recv(65536)
            client.sendall(MINE[20:].encode())
            return heard + read_all(client)

    with host(serve) as found:
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(1,)) as scene:
            assert await to_thread.run_sync(talk, scene, found.port) == b"HELLO"
            assert MINE.encode() not in b"".join(found.received)
            assert len(scene.told("secret.refused")) == 1


async def test_a_secret_s_own_place_is_not_reached_by_a_tunnel_that_nobody_can_read(tmp_path: Path) -> None:
    def talk(scene: SecretScene, port: int) -> bytes:
        with scene.connect() as client:
            client.sendall(f"CONNECT {NAME}:{port} HTTP/1.1\r\n\r\n".encode())
            client.recv(65536)
            client.sendall(f"GET /stored HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            return read_all(client)

    with host(echo) as found:
        async with secret_scene(tmp_path, allow=(found.port,), hosts=(found.port,)) as scene:
            assert b"200 OK" not in await to_thread.run_sync(talk, scene, found.port)
            assert found.received == []
            assert scene.told("egress.decided")[-1]["rule"] == "protocol"


def unchunked(answer: bytes) -> bytes:
    """The body of an answer that came in chunks."""
    left, body = answer.partition(b"\r\n\r\n")[2], b""
    while left:
        size, _, left = left.partition(b"\r\n")
        body, left = body + left[: int(size, 16)], left[int(size, 16) + 2 :]
    return body


async def test_a_large_answer_and_a_large_body_pass_unchanged(tmp_path: Path) -> None:
    big = bytes(range(256)) * 8192

    def serve(connection: socket.socket, found: Host) -> None:
        request = read_request(connection)
        found.received.append(request)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(big), big))

    with tls_host(tmp_path / "site", serve) as (found, trust):
        async with secret_scene(
            tmp_path, allow=(found.port,), hosts=(1,), places=("header", "body"), trust=trust
        ) as scene:
            answer = await scene.ask(found.port, post(found.port, big, "application/octet-stream"))
            assert unchunked(answer) == big
            assert found.received[0].endswith(b"\r\n\r\n" + big)
