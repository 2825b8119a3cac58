"""What the forwarder makes of a sandbox that names hosts, before anybody listens at the other end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import docker
import pytest
from anyio.abc import SocketStream
from attack import attacker

from muxi_sandbox.contract import Sandbox
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.forwarding import PROXY_VARIABLES, command_of, forwarded
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.egress.contract import Peer
from muxi_sandbox.errors import ImageMissingError, SandboxDiedError, SpecRefusedError, StartFailedError

pytestmark = pytest.mark.timeout(120)

NETWORK = ("example.com:443",)
Running = Callable[..., AbstractAsyncContextManager[Sandbox]]

OTHERS = """
    def status(pid):
        return dict(line.split(":\\t", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":\\t" in line)
    every = {int(pid): status(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    forwarders = [pid for pid, facts in every.items() if facts["Name"] == "muxi-forward"]
"""


@pytest.fixture
async def running(engine_socket: Path, python_image: str) -> AsyncIterator[Running]:
    """Runs a script in a sandbox that names hosts; the forwarder's image is built if need be."""
    settings = EngineSettings(socket=engine_socket)
    async with ImageStore(settings) as images:
        await images.ensure("forwarder", print)
    async with DockerBackend(settings, f"fwd-{uuid4().hex[:8]}") as backend:

        @asynccontextmanager
        async def run(script: str, **changes: Any) -> AsyncIterator[Sandbox]:
            options = {"image": python_image, "network": NETWORK, **changes}
            async with backend.prepare(attacker(options.pop("image"), script, **options)) as prepared:
                yield prepared.sandbox

        yield run


@pytest.fixture
def client(engine_socket: Path):
    with docker.APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
        yield client


@pytest.mark.parametrize("init", [True, False])
async def test_the_command_is_what_it_would_be_without_the_forwarder(running: Running, *, init: bool) -> None:
    script = (
        OTHERS
        + """
    here = every[os.getpid()]
    children = [pid for pid, facts in every.items() if int(facts["PPid"]) == os.getpid() and pid not in forwarders]
    say([os.getpid(), int(here["PPid"]), children, sorted(os.listdir("/proc/self/fd")), len(forwarders)])
    """
    )
    async with running(script, init=init) as sandbox:
        pid, parent, children, descriptors, forwarders = json.loads(await sandbox.receive())
    assert (pid == 1) is not init
    assert parent == (1 if init else 0)
    assert (children, forwarders) == ([], 1)
    assert descriptors == ["0", "1", "2", "3"]  # the last one reads this list


async def test_a_client_is_told_that_there_is_no_proxy(running: Running) -> None:
    script = """
        import urllib.error, urllib.request
        try:
            urllib.request.urlopen("http://example.com/")
        except urllib.error.HTTPError as error:
            say([error.code, error.read().decode(), dict(error.headers)["Connection"]])
    """
    async with running(script) as sandbox:
        code, text, connection = json.loads(await sandbox.receive())
    assert (code, connection) == (502, "close")
    assert "no way out" in text
    assert text.endswith(".\n")


async def test_many_clients_that_never_hang_up_do_not_close_the_way_to_others(running: Running) -> None:
    script = """
        kept = []
        for _ in range(300):
            one = socket.create_connection(("127.0.0.1", 3128), timeout=10)
            one.sendall(b"CONNECT example.com:443 HTTP/1.1\\r\\n\\r\\n")
            kept.append((one, one.recv(12)))
        say(sorted({answer.decode() for _, answer in kept}))
    """
    async with running(script) as sandbox:
        assert json.loads(await sandbox.receive()) == ["HTTP/1.1 502"]


async def test_it_is_small(running: Running) -> None:
    script = (
        OTHERS
        + """
    facts = every[forwarders[0]]
    say([int(facts[name].split()[0]) for name in ("RssAnon", "RssFile", "RssShmem", "VmPTE")])
    """
    )
    async with running(script) as sandbox:
        kib = json.loads(await sandbox.receive())
    assert sum(kib) < 512


async def test_the_variables_lead_clients_there_unless_the_manifest_says_otherwise(running: Running) -> None:
    script = "say({k: v for k, v in os.environ.items() if 'proxy' in k.lower()})"
    async with running(script, environment={"https_proxy": "http://127.0.0.1:9"}) as sandbox:
        found = json.loads(await sandbox.receive())
    assert found == {
        **{k: v for k, v in PROXY_VARIABLES.items() if "proxy" in k.lower()},
        "https_proxy": "http://127.0.0.1:9",
    }


async def test_a_sandbox_that_names_no_hosts_gets_nothing_of_this(running: Running) -> None:
    script = (
        OTHERS
        + """
    mine = [k for k in os.environ if "proxy" in k.lower()]
    mounts = [line.split()[4] for line in read("/proc/self/mountinfo").splitlines() if "muxi" in line.split()[4]]
    say([forwarders, mine, mounts, tried(lambda: socket.create_connection(("127.0.0.1", 3128)))])
    """
    )
    async with running(script, network=()) as sandbox:
        assert json.loads(await sandbox.receive()) == [[], [], [], "ECONNREFUSED"]


@pytest.mark.parametrize("init", [True, False])
async def test_a_command_that_is_not_there_is_told(running: Running, *, init: bool) -> None:
    async with running("", init=init, command=("/no/such/program",)) as sandbox:
        with pytest.raises(StartFailedError, match="/no/such/program"):
            await sandbox.receive()


async def test_an_image_of_another_s_runs_its_own_command(
    running: Running, client: docker.APIClient, python_image: str
) -> None:
    tag = f"muxi-test-{uuid4().hex[:12]}:1"
    base = client.create_container(python_image, ["true"], entrypoint=["/bin/echo", "from", "the image"])
    try:
        client.commit(base, *tag.split(":"))
        async with running("", image=tag, command=()) as sandbox:
            assert await sandbox.receive() == b"from the image true"
            with pytest.raises(SandboxDiedError):
                await sandbox.receive()
    finally:
        client.remove_container(base)
        client.remove_image(tag)


async def test_an_image_that_is_not_here_is_told(running: Running) -> None:
    with pytest.raises(ImageMissingError):
        async with running("", image="muxi-test-none:1", command=()):
            pass


async def test_without_a_proxy_a_spec_that_names_hosts_is_refused(engine_socket: Path, python_image: str) -> None:
    async with DockerBackend(EngineSettings(socket=engine_socket), f"fwd-{uuid4().hex[:8]}") as backend:
        with pytest.raises(SpecRefusedError, match="no egress proxy runs here"):
            async with backend.lease(attacker(python_image, "say(1)", network=NETWORK)):
                pass
        assert await backend.reap() == 0


class Echo:
    """An `Egress` that sends back what it gets, and hangs up when the other side has nothing more to say."""

    def __init__(self) -> None:
        self._clients = 0
        self._changed = anyio.Condition()

    async def wait_until_all_left(self) -> None:
        """A connection that ends at the moment at which it is cancelled makes asyncio complain of itself."""
        async with self._changed:
            while self._clients:
                await self._changed.wait()

    @asynccontextmanager
    async def serve(self, socket: Path, peer: Peer) -> AsyncIterator[None]:
        del peer
        async with await anyio.create_unix_listener(socket, mode=0o666) as listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._echo)
            yield
            group.cancel_scope.cancel()

    async def _echo(self, client: SocketStream) -> None:
        self._clients += 1
        async with client:
            async for data in client:
                await client.send(data)
        async with self._changed:
            self._clients -= 1
            self._changed.notify_all()


async def test_bytes_go_both_ways_unchanged_whatever_the_sides_do(engine_socket: Path, python_image: str) -> None:
    script = """
    import hashlib, random, threading
    found = {}
    def one(number):
        sent, got = hashlib.sha256(), hashlib.sha256()
        chance = random.Random(number)
        with socket.create_connection(("127.0.0.1", 3128), timeout=60) as s:
            def send():
                for _ in range(chance.randrange(1, 30)):
                    data = chance.randbytes(chance.randrange(1, 200_000))
                    sent.update(data)
                    s.sendall(data)
                s.shutdown(socket.SHUT_WR)  # the other direction stays open
            writer = threading.Thread(target=send)
            writer.start()
            if number % 3 == 0:
                writer.join(0.2)  # nobody reads for a while: what is sent has to wait
            while data := s.recv(chance.choice((1, 4096, 65536)) if number % 2 else 65536):
                got.update(data)
            writer.join()
        found[number] = sent.digest() == got.digest()
    threads = [threading.Thread(target=one, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say([len(found), all(found.values())])
    """
    installation = f"fwd-{uuid4().hex[:8]}"
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation, egress=Echo()) as backend,
        backend.lease(attacker(python_image, script, network=NETWORK)) as lease,
    ):
        assert json.loads(await lease.sandbox.receive()) == [40, True]


async def test_more_clients_than_it_serves_at_once_wait_for_their_turn(engine_socket: Path, python_image: str) -> None:
    script = """
    kept = [socket.create_connection(("127.0.0.1", 3128), timeout=30) for _ in range(40)]
    def answered(s):
        s.sendall(b"x")
        return s.recv(1) == b"x"
    first = sum(answered(s) for s in kept[:24])
    kept[30].sendall(b"x")
    kept[30].settimeout(0.5)
    early = tried(kept[30].recv, 1)
    for s in kept[:24]:
        s.close()
    kept[30].settimeout(30)
    late = kept[30].recv(1) == b"x"
    for s in kept[24:]:
        s.close()
    say([first, early, late])
    """
    installation = f"fwd-{uuid4().hex[:8]}"
    echo = Echo()
    spec = attacker(python_image, script, network=NETWORK, limits={"open_files": 64})
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation, egress=echo) as backend,
        backend.lease(spec) as lease,
    ):
        assert json.loads(await lease.sandbox.receive()) == [24, "timed out", True]
        await echo.wait_until_all_left()


def test_an_image_without_a_command_is_refused() -> None:
    spec = attacker("i", "").model_copy(update={"command": ()})
    with pytest.raises(SpecRefusedError, match="command"):
        command_of({"Config": {"Entrypoint": None, "Cmd": None}}, spec)
    assert command_of({"Config": {"Entrypoint": ["a"], "Cmd": ["b"]}}, spec) == ("a", "b")
    assert forwarded(spec, ("a",)).command[-2:] == ("--", "a")


async def test_nothing_is_left_on_the_engine(running: Running, client: docker.APIClient) -> None:
    async with running("say(1)") as sandbox:
        await sandbox.receive()
        label = f"muxi.installation={installation_of(client, sandbox)}"
        left = client.containers(all=True, filters={"label": label})
        assert [container["Id"] for container in left] == [sandbox.id]


async def test_the_volume_goes_with_the_runtime(
    engine_socket: Path, python_image: str, client: docker.APIClient
) -> None:
    installation = f"fwd-{uuid4().hex[:8]}"

    def volumes() -> list[str]:
        found = client.volumes(filters={"label": f"muxi.forwarder={installation}"})["Volumes"] or []
        return [volume["Name"] for volume in found]

    async with DockerBackend(EngineSettings(socket=engine_socket), installation) as backend:
        async with backend.prepare(attacker(python_image, "say(1)", network=NETWORK)):
            assert len(volumes()) == 1
        assert await backend.reap() == 0
        assert len(volumes()) == 1
    assert volumes() == []


def installation_of(client: docker.APIClient, sandbox: Sandbox) -> str:
    labels: dict[str, str] = client.inspect_container(sandbox.id)["Config"]["Labels"]
    return labels["muxi.installation"]
