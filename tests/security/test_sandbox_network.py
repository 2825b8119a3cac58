"""Attempts to reach anything from inside a sandbox."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from attack import findings

UNREACHABLE = {"ENETUNREACH", "EPERM", "EADDRNOTAVAIL", "EHOSTUNREACH"}


@pytest.mark.promise("no-network")
async def test_there_is_no_interface_and_no_route(engine_socket: Path, python_image: str) -> None:
    script = """
        interfaces = [name for _, name in socket.if_nameindex()]
        routes = [line.split()[0] for line in read("/proc/net/route").splitlines()[1:]]
        say([interfaces, routes])
    """
    assert await findings(engine_socket, python_image, script) == [["lo"], []]


@pytest.mark.promise("no-network")
@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "169.254.169.254", "172.17.0.1", "10.0.0.1", "192.168.0.1", "224.0.0.1", "255.255.255.255"],
)
async def test_no_address_can_be_reached(engine_socket: Path, python_image: str, address: str) -> None:
    script = f"""
        def tcp():
            socket.create_connection(({address!r}, 443), timeout=5)
        def udp(port):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                s.sendto(b"x", ({address!r}, port))
        def ping(kind):
            with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as s:
                s.sendto(bytes([8, 0, 247, 255, 0, 0, 0, 0]), ({address!r}, 0))
        say([tried(tcp), tried(udp, 53), tried(udp, 443), tried(ping, socket.SOCK_RAW), tried(ping, socket.SOCK_DGRAM)])
    """
    found = await findings(engine_socket, python_image, script)
    assert set(found) <= UNREACHABLE | {"EACCES"}


@pytest.mark.promise("no-network")
async def test_no_address_of_ipv6_can_be_reached(engine_socket: Path, python_image: str) -> None:
    script = """
        def tcp(address):
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
                s.settimeout(5)
                s.connect((address, 443))
        addresses = ("2606:4700:4700::1111", "fe80::1", "ff02::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1")
        say([tried(tcp, a) for a in addresses])
    """
    found = await findings(engine_socket, python_image, script)
    assert set(found) <= UNREACHABLE | {"EINVAL"}


@pytest.mark.promise("no-network")
async def test_no_name_is_resolved(engine_socket: Path, python_image: str) -> None:
    script = """
        def resolve(name):
            try:
                return socket.getaddrinfo(name, 443)
            except socket.gaierror:
                return "refused"
        say([resolve(n) for n in ("example.com", "c2VjcmV0.tunnel.example.com", "host.docker.internal")])
    """
    assert await findings(engine_socket, python_image, script) == ["refused"] * 3


@pytest.mark.promise("no-network")
async def test_loopback_is_the_sandbox_s_own(engine_socket: Path, python_image: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"""
            with socket.create_server(("127.0.0.1", 0)) as own:
                mine = tried(lambda: socket.create_connection(own.getsockname()).close())
            say([mine, tried(lambda: socket.create_connection(("127.0.0.1", {port}), timeout=5))])
        """
        assert await findings(engine_socket, python_image, script) == ["worked", "ECONNREFUSED"]


@pytest.mark.promise("no-network")
async def test_abstract_sockets_of_the_host_are_not_seen(engine_socket: Path, python_image: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0muxi-test-abstract")
        server.listen()
        script = """
            def connect():
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect("\\0muxi-test-abstract")
            say([tried(connect), "muxi-test" in read("/proc/net/unix")])
        """
        assert await findings(engine_socket, python_image, script) == ["ECONNREFUSED", False]


@pytest.mark.promise("no-network")
async def test_no_network_can_be_made(engine_socket: Path, python_image: str) -> None:
    script = """
        import fcntl, struct
        def tun():
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        def up():
            with socket.socket() as s:
                fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0))
        say([tried(tun), tried(up)])
    """
    assert await findings(engine_socket, python_image, script) == ["ENOENT", "EPERM"]
