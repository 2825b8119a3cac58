"""Attacks on the way out of a sandbox: a hostile client on the proxy's socket, real servers behind it."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from anyio import to_thread
from egress_scene import ANSWER, Host, Notes, Scene, egress_scene, host, read_all

from muxi_sandbox.egress.contract import Peer, Verdict
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.settings import EgressSettings

PUBLIC = ("93.184.215.14",)
LOCAL = ("127.0.0.1",)


def hello(name: str | None) -> bytes:
    """A real ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    return sent.read()


def get(url: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {url} HTTP/1.1", *headers, "", ""]).encode()


def local(port: int, **more: object) -> dict[str, object]:
    """A site on loopback that the operator named."""
    return {"names": {"site.test": LOCAL}, "private": (f"site.test:{port}",), "allow": (f"site.test:{port}",), **more}


@pytest.mark.promise("egress-closed-by-default")
@pytest.mark.parametrize("allow", [(), ("other.test",), ("*.site.test",), ("site.test:81",)])
async def test_what_the_list_does_not_name_is_refused_and_never_looked_up(
    tmp_path: Path, allow: tuple[str, ...]
) -> None:
    async with egress_scene(tmp_path, allow=allow) as scene:
        answer = await scene.ask(get("http://site.test/"))
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"rule profile" in answer
        assert b"servers.web.network.allow" in answer
        assert scene.notes.asked == []
        assert scene.notes.refusals() == ["profile"]


@pytest.mark.promise("egress-closed-by-default")
async def test_the_policy_has_the_last_word(tmp_path: Path) -> None:
    notes = Notes(Verdict(allowed=False, rule="not-at-night", reason="It is late."))
    with host() as site:
        async with egress_scene(tmp_path, notes=notes, **local(site.port)) as scene:
            answer = await scene.ask(get(f"http://site.test:{site.port}/"))
        assert b"rule not-at-night" in answer
        assert site.connections == 0


@pytest.mark.promise("egress-closed-by-default")
async def test_what_cannot_be_journalled_is_not_connected(tmp_path: Path) -> None:
    with host() as site:
        async with egress_scene(tmp_path, notes=Notes(broken=True), **local(site.port)) as scene:
            assert await scene.ask(get(f"http://site.test:{site.port}/")) == b""
        assert site.connections == 0


@pytest.mark.promise("egress-closed-by-default")
async def test_without_the_proxy_there_is_no_socket_and_no_connection(tmp_path: Path) -> None:
    def hold(connection: socket.socket, _: Host) -> None:
        connection.recv(10)
        connection.recv(10)  # until the proxy closes it

    with host(hold) as site:
        async with egress_scene(tmp_path, **local(site.port)) as scene:
            client = scene.connect()
            with client:
                client.sendall(b"CONNECT site.test:%d HTTP/1.1\r\n\r\n" % site.port)
                assert await to_thread.run_sync(client.recv, 100) == b"HTTP/1.1 200 Connection established\r\n\r\n"
                client.sendall(b"hello")
                await to_thread.run_sync(site.connected.wait, 10)
                scene_path = scene.path
                duplicate = client.dup()
        with duplicate:
            duplicate.settimeout(10)
            assert await to_thread.run_sync(read_all, duplicate) == b""
        assert not scene_path.exists()


@pytest.mark.promise("egress-no-private-addresses")
@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.8"),
        *("::1", "::", "fe80::1", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "fe80::1%lo"),
    ],
)
async def test_a_name_that_leads_to_a_private_address_is_refused(tmp_path: Path, address: str) -> None:
    names = {"evil.test": (address,), "mixed.test": (*PUBLIC, address)}
    async with egress_scene(tmp_path, allow=("evil.test", "mixed.test"), names=names) as scene:
        for name in names:
            answer = await scene.ask(get(f"http://{name}/"))
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert b"rule address" in answer


@pytest.mark.promise("egress-no-private-addresses")
@pytest.mark.parametrize(
    "target",
    [
        *("127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]"),
        *("169.254.169.254", "[fe80::1]", "0xa9fea9fe", "localhost", "localhost."),
    ],
)
async def test_no_notation_of_an_address_passes(tmp_path: Path, target: str) -> None:
    with host() as site:
        async with egress_scene(tmp_path, allow=("example.org",)) as scene:
            answer = await scene.ask(get(f"http://{target}:{site.port}/"))
            assert answer.split(b" ")[1] in {b"400", b"403"}
            tunnel, _ = await scene.tunnel(f"{target}:{site.port}")
            assert tunnel.split(b" ")[1] in {b"400", b"403"}
        assert site.connections == 0


@pytest.mark.promise("egress-no-private-addresses")
async def test_a_private_host_is_allowed_by_name_and_port_only(tmp_path: Path) -> None:
    with host() as site, host() as other:
        ports = (f"site.test:{site.port}", f"site.test:{other.port}", f"alias.test:{site.port}")
        names = {"site.test": LOCAL, "alias.test": LOCAL}
        private = (f"site.test:{site.port}",)
        async with egress_scene(tmp_path, allow=ports, names=names, private=private) as scene:
            assert await scene.ask(get(f"http://site.test:{site.port}/")) == ANSWER
            for refused in ports[1:]:
                assert b"rule address" in await scene.ask(get(f"http://{refused}/"))
        assert (site.connections, other.connections) == (1, 0)


@pytest.mark.promise("egress-no-private-addresses")
async def test_a_named_private_host_is_no_way_to_the_metadata_of_a_cloud(tmp_path: Path) -> None:
    names = {"site.test": ("169.254.169.254",)}
    async with egress_scene(tmp_path, allow=("site.test",), names=names, private=("site.test:80",)) as scene:
        assert b"rule address" in await scene.ask(get("http://site.test/"))


class Rebinding:
    """Says something else each time."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str) -> list[str]:
        assert host == "site.test"
        self.asked += 1
        return [self._answers.pop(0)]


@pytest.mark.promise("egress-no-private-addresses")
async def test_a_name_is_resolved_once_for_each_connection(tmp_path: Path) -> None:
    with host() as site:
        resolver = Rebinding("127.0.0.1", "169.254.169.254")
        settings = EgressSettings(private=(f"site.test:{site.port}",))
        proxy = EgressProxy(settings, Notes(), resolver=resolver)
        path = tmp_path / "egress.sock"
        async with proxy.serve(path, Peer("t-1", "web", "sandbox-1", (f"site.test:{site.port}",))):
            scene = Scene(path, Notes())
            assert await scene.ask(get(f"http://site.test:{site.port}/")) == ANSWER
            assert resolver.asked == 1
            assert b"rule address" in await scene.ask(get(f"http://site.test:{site.port}/"))


@pytest.mark.promise("egress-name-is-held")
@pytest.mark.parametrize(
    "target",
    [
        *("http://user@site.test/", "http://site.test\x00.evil.test/", "http://site.test%00/", "http://site.test:/"),
        *("http://site.test:0/", "http://site.test:65536/", "http://site.test:80:80/", "http:///", "http://./"),
        *("http://site..test/", "http://-site.test/", "http://s\u0456te.test/", "https://site.test/", "/", "site.test"),
        *("http://site.test:+80/", "http://[site.test]/", "http://xn--a.test/", "ftp://site.test/"),
    ],
)
async def test_a_name_that_could_be_read_in_two_ways_is_refused(tmp_path: Path, target: str) -> None:
    async with egress_scene(tmp_path, allow=("site.test", "evil.test"), names={"site.test": PUBLIC}) as scene:
        assert (await scene.ask(get(target))).startswith(b"HTTP/1.1 400 ")
        assert scene.notes.asked == []


@pytest.mark.promise("egress-name-is-held")
async def test_case_and_a_final_dot_make_no_other_name(tmp_path: Path) -> None:
    with host() as site:
        async with egress_scene(tmp_path, **local(site.port)) as scene:
            for name in ("SITE.test", "site.test.", "Site.TEST."):
                assert await scene.ask(get(f"http://{name}:{site.port}/")) == ANSWER
        assert all(f"Host: site.test:{site.port}\r\n".encode() in head for head in site.received)


@pytest.mark.promise("egress-name-is-held")
async def test_the_host_header_is_that_of_the_name_that_was_decided(tmp_path: Path) -> None:
    with host() as site:
        async with egress_scene(tmp_path, **local(site.port)) as scene:
            url = f"http://site.test:{site.port}/a?b"
            await scene.ask(
                get(url, "Host: evil.test", "Proxy-Authorization: x", "Connection: X-Secret", "X-Secret: y")
            )
    (head,) = site.received
    assert head.startswith(b"GET /a?b HTTP/1.1\r\nHost: site.test:")
    for word in (b"evil", b"Proxy", b"Secret"):
        assert word not in head


@pytest.mark.promise("egress-name-is-held")
async def test_another_name_inside_the_tunnel_is_refused_before_a_byte_is_sent_on(tmp_path: Path) -> None:
    with host() as site:
        async with egress_scene(tmp_path, **local(site.port)) as scene:
            for name in ("evil.test", None, "site.test.evil.test"):
                _, inside = await scene.tunnel(f"site.test:{site.port}", hello(name))
                assert inside[:1] in {b"", b"\x15"}
            assert scene.notes.refusals() == ["sni"] * 3
        assert site.received in ([], [b""] * len(site.received))


@pytest.mark.promise("egress-name-is-held")
async def test_the_right_name_passes_however_its_message_is_cut(tmp_path: Path) -> None:
    message = hello("site.test")
    content = message[5:]
    # The same message in three records (RFC 8446, 5.1), sent byte by byte.
    cut = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in (content[:1], content[1:60], content[60:])
    )

    def count(connection: socket.socket, found: Host) -> None:
        data = b""
        while len(data) < len(cut):
            data += connection.recv(65536)
        found.received.append(data)
        connection.sendall(b"through")

    with host(count) as site:
        async with egress_scene(tmp_path, **local(site.port)) as scene:
            _, inside = await scene.tunnel(f"site.test:{site.port}", *(bytes([byte]) for byte in cut))
    assert inside == b"through"
    assert site.received == [cut]


@pytest.mark.promise("egress-name-is-held")
async def test_port_443_takes_nothing_but_tls(tmp_path: Path) -> None:
    notes = Notes()
    async with egress_scene(tmp_path, allow=("127.0.0.1:443",), private=("127.0.0.1:443",), notes=notes) as scene:
        answer, _ = await scene.tunnel("127.0.0.1:443", b"GET / HTTP/1.1\r\n\r\n")
        # Nobody listens there on this machine; a tunnel that opens is refused by what is in it.
        assert b" 502 " in answer or notes.refusals() == ["protocol"]


@pytest.mark.promise("egress-name-is-held")
@pytest.mark.parametrize(
    "head",
    [
        "GET http://site.test/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        "GET http://site.test/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "GET http://site.test/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        "GET http://site.test/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "GET http://site.test/ HTTP/1.1\r\nContent-Length: +1",
        "GET http://site.test/ HTTP/1.1\r\nContent-Length : 1",
        "GET http://site.test/ HTTP/1.1\r\nA: b\r\n folded",
        "GET http://site.test/ HTTP/1.1\r\nA: b\nB: c",
        "GET http://site.test/ HTTP/1.1\r\nA: b\rB: c",
        "GET http://site.test/ HTTP/1.1\r\nA: \x00",
        "GET http://site.test/ HTTP/1.1\r\n: a",
        "GET  http://site.test/ HTTP/1.1",
        "GET http://site.test/ HTTP/2.0",
        "GET http://site.test/",
        "CONNECT site.test:443 HTTP/1.1\r\nContent-Length: 5",
        "CONNECT site.test HTTP/1.1",
        "CONNECT http://site.test:443 HTTP/1.1",
    ],
)
async def test_a_request_that_could_be_read_in_two_ways_is_refused(tmp_path: Path, head: str) -> None:
    async with egress_scene(tmp_path, allow=("site.test",), names={"site.test": PUBLIC}) as scene:
        assert (await scene.ask(f"{head}\r\n\r\n".encode("latin-1"))).startswith(b"HTTP/1.1 400 ")
        assert scene.notes.asked == []


@pytest.mark.promise("egress-name-is-held")
@pytest.mark.parametrize(
    "body",
    [
        ("Content-Length: 4", b"body"),
        ("Transfer-Encoding: chunked", b"4;x=y\r\nbody\r\n0\r\nA: b\r\n\r\n"),
        ("Content-Length: 0", b""),
    ],
)
async def test_a_second_request_behind_the_first_is_not_sent_on(tmp_path: Path, body: tuple[str, bytes]) -> None:
    header, content = body
    smuggled = get("http://evil.test/", "Host: evil.test")

    def read(connection: socket.socket, found: Host) -> None:
        connection.settimeout(0.5)
        data = b""
        try:
            while more := connection.recv(65536):
                data += more
        except TimeoutError:
            pass
        found.received.append(data)
        connection.sendall(ANSWER)

    with host(read) as site:
        async with egress_scene(tmp_path, **local(site.port)) as scene:
            request = get(f"http://site.test:{site.port}/", header)
            assert await scene.ask(request + content + smuggled, smuggled) == ANSWER
    (received,) = site.received
    assert received.endswith(content)
    assert b"evil" not in received


@pytest.mark.promise("egress-name-is-held")
async def test_a_tunnel_in_a_tunnel_is_bytes_for_the_host_that_was_decided(tmp_path: Path) -> None:
    with host() as site, host() as other:
        async with egress_scene(tmp_path, **local(site.port)) as scene:
            inner = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % other.port
            _, inside = await scene.tunnel(f"site.test:{site.port}", inner)
            assert inside == ANSWER
        assert site.received == [inner]
        assert other.connections == 0


@pytest.mark.promise("egress-is-bounded")
async def test_connections_at_once_are_counted(tmp_path: Path) -> None:
    with host() as site:
        async with egress_scene(tmp_path, connections=2, **local(site.port)) as scene:
            with scene.connect(), scene.connect():
                answer = await scene.ask(get(f"http://site.test:{site.port}/"))
                assert answer.startswith(b"HTTP/1.1 429 ")
                assert b"egress.connections of 2" in answer


@pytest.mark.promise("egress-is-bounded")
async def test_new_connections_a_second_are_counted(tmp_path: Path) -> None:
    async with egress_scene(tmp_path, allow=("site.test",), connections_per_second=0.5) as scene:
        answers = [await scene.ask(get("http://no.test/")) for _ in range(2)]
    assert [answer.split(b" ")[1] for answer in answers] == [b"403", b"429"]


@pytest.mark.promise("egress-is-bounded")
async def test_bytes_of_a_connection_are_counted(tmp_path: Path) -> None:
    def flood(connection: socket.socket, _: Host) -> None:
        connection.recv(10)
        while True:
            connection.sendall(bytes(65536))

    with host(flood) as site:
        async with egress_scene(tmp_path, connection_mib=1, **local(site.port)) as scene:
            _, inside = await scene.tunnel(f"site.test:{site.port}", b"go")
            await scene.notes.closed.wait()
            closed = [facts for kind, facts in scene.notes.told if kind == "egress.closed"]
    assert len(inside) <= 2**20
    assert "egress.connection_mib of 1 MiB" in closed[0]["why"]


@pytest.mark.promise("egress-is-bounded")
@pytest.mark.parametrize("sent", [b"", b"GET http://site.test/ HTTP/1.1\r\nA: "])
async def test_a_head_that_never_ends_is_waited_for_a_limited_time(tmp_path: Path, sent: bytes) -> None:
    async with egress_scene(tmp_path, allow=("site.test",), head_seconds=0.2) as scene:
        answer = await scene.ask(sent)
        assert b"egress.head_seconds of 0.2" in answer


@pytest.mark.promise("egress-is-bounded")
async def test_a_head_without_end_is_refused(tmp_path: Path) -> None:
    async with egress_scene(tmp_path, allow=("site.test",), head_bytes=2048) as scene:
        answer = await scene.ask(b"GET http://site.test/ HTTP/1.1\r\nA: " + b"a" * 4096)
        assert b"egress.head_bytes of 2048" in answer


@pytest.mark.promise("egress-is-bounded")
async def test_a_connection_on_which_nothing_moves_is_closed(tmp_path: Path) -> None:
    def silent(connection: socket.socket, _: Host) -> None:
        while connection.recv(100):
            pass

    with host(silent) as site:
        async with egress_scene(tmp_path, idle_seconds=0.3, **local(site.port)) as scene:
            _, inside = await scene.tunnel(f"site.test:{site.port}", b"hello")
            assert inside == b""
            await scene.notes.closed.wait()
            assert "egress.idle_seconds" in scene.notes.told[-1][1]["why"]


@pytest.mark.promise("egress-is-bounded")
async def test_a_flood_of_refusals_does_not_fill_the_journal(tmp_path: Path) -> None:
    async with egress_scene(tmp_path, allow=(), told_refusals_per_minute=3, connections_per_second=1000) as scene:
        for _ in range(20):
            await scene.ask(get("http://no.test/"))
        assert len(scene.notes.told) == 3
