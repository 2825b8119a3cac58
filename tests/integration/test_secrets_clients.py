"""Unmodified clients in real sandboxes use a secret that they never see: over TLS, to a host of our own."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import docker
import pytest
from client_image import ensure_client_image
from egress_scene import Host
from secret_scene import MINE, NAME, VALUE, Keeper, echo, read_request, tls_host

from muxi_sandbox.contract import Backend, Limits, SecretRoute, Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.egress.addresses import FixedResolver
from muxi_sandbox.egress.authority import Authority
from muxi_sandbox.egress.contract import Destination, Peer, Verdict
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.reading import Secrets
from muxi_sandbox.egress.settings import EgressSettings

pytestmark = [pytest.mark.timeout(300), pytest.mark.anyio]

RUN = """
import json, subprocess, sys
done = subprocess.run(["bash", "-c", sys.argv[1]], capture_output=True, text=True, cwd="/tmp", stdin=subprocess.DEVNULL)
print(json.dumps([done.returncode, done.stdout, done.stderr[-2000:]]), flush=True)
"""


class Told:
    """A gatekeeper that permits."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def decide(self, peer: Peer, destination: Destination) -> Verdict:
        del peer, destination
        return Verdict(allowed=True, rule="test")

    async def tell(self, peer: Peer, kind: str, facts: object) -> None:
        assert VALUE not in json.dumps([peer.task, facts], default=str)
        self.kinds.append(kind)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Host, Path]]:
    with tls_host(tmp_path / "site", getattr(request, "param", echo)) as found:
        yield found


@pytest.fixture
async def images(engine_socket: Path) -> dict[str, str]:
    async with ImageStore(EngineSettings(socket=engine_socket)) as store:
        await store.ensure("forwarder", print)
        code = await store.ensure("code", print)
    return {"clients": await ensure_client_image(engine_socket), "code": code}


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def backend(engine_socket: Path, told: Told, site: tuple[Host, Path], tmp_path: Path) -> AsyncIterator[Backend]:
    keeper = Keeper()
    settings = EgressSettings(private=(f"{NAME}:{site[0].port}",))
    secrets = Secrets(keeper, Authority(tmp_path / "authority.pem"), site[1])
    egress = EgressProxy(settings, told, resolver=FixedResolver({NAME: ["127.0.0.1"]}), secrets=secrets)
    async with DockerBackend(
        EngineSettings(socket=engine_socket), f"secrets-{uuid4().hex[:8]}", egress=egress
    ) as backend:
        yield backend


def spec_of(image: str, port: int, command: str) -> Spec:
    place = f"{NAME}:{port}"
    return Spec(
        task="t-1",
        server="client",
        image=image,
        command=("python3", "-c", RUN, command),
        environment={"TOKEN": MINE, "URL": f"https://{place}"},
        network=(place,),
        secrets=(SecretRoute(name="TOKEN", placeholder=MINE, hosts=(place,)),),
        limits=Limits(memory_mib=1024, tmp_mib=256, pids=256, open_files=4096, shm_mib=64),
    )


async def run(backend: Backend, spec: Spec) -> str:
    """What the command writes to its standard output."""
    async with backend.lease(spec) as lease:
        code, output, errors = json.loads(await lease.sandbox.receive())
    assert code == 0, errors
    return str(output)


FETCH = 'fetch(process.env.URL, {headers: {"X-Key": process.env.TOKEN}}).then(r => r.text()).then(console.log)'
REQUESTS = "import os, requests as r; print(r.get(os.environ['URL'], headers={'X-Key': os.environ['TOKEN']}).text)"
HTTPX = REQUESTS.replace("requests as r", "httpx as r")
URLLIB = (
    "import os, urllib.request as u; "
    "print(u.urlopen(u.Request(os.environ['URL'], headers={'X-Key': os.environ['TOKEN']})).read().decode())"
)
CLIENTS = {
    "curl": ("clients", 'curl -sS -H "X-Key: $TOKEN" $URL'),
    "urllib": ("clients", f'python3 -c "{URLLIB}"'),
    "requests": ("clients", f'python3 -c "{REQUESTS}"'),
    "httpx": ("clients", f'python3 -c "{HTTPX}"'),
    "Node.js": ("code", f"node -e '{FETCH}'"),
    "the code server's Python": ("code", f'python3 -c "{URLLIB}"'),
}


@pytest.mark.promise("secrets-only-to-their-host")
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_secret_is_used_and_not_seen_by(
    backend: Backend, images: dict[str, str], site: tuple[Host, Path], told: Told, client: str
) -> None:
    image, command = CLIENTS[client]
    output = await run(backend, spec_of(images[image], site[0].port, command))
    received = b"".join(site[0].received)
    assert VALUE.encode() in received
    assert MINE.encode() not in received
    # What came back is what the host had got.
    assert MINE in output
    assert VALUE not in output
    assert told.kinds[:2] == ["egress.decided", "secret.used"]


def repository(connection: socket.socket, found: Host) -> None:
    """An empty one, for who knows the password."""
    while request := read_request(connection):
        found.received.append(request)
        known = b"Authorization: Basic " + base64.b64encode(f"x:{VALUE}".encode()) in request
        refusal = b"401 Unauthorized\r\nWWW-Authenticate: Basic realm=r"
        connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % (b"200 OK" if known else refusal))


@pytest.mark.parametrize("site", [repository], indirect=True)
async def test_git_uses_a_secret_as_its_password(
    backend: Backend, images: dict[str, str], site: tuple[Host, Path]
) -> None:
    command = f"git ls-remote https://x:$TOKEN@{NAME}:{site[0].port}/r.git"
    assert await run(backend, spec_of(images["clients"], site[0].port, command)) == ""
    assert len(site[0].received) >= 2
    assert all(MINE.encode() not in request for request in site[0].received)


async def test_chromium_trusts_the_proxy_and_sends_the_placeholder_of_its_page(
    backend: Backend, images: dict[str, str], site: tuple[Host, Path]
) -> None:
    # A browser has no variable that makes it send a header: what stands in its agent's name stands in a header.
    options = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=/tmp/profile"
    command = f"timeout 120 chromium {options} --user-agent=$TOKEN --dump-dom $URL/page"
    spec = spec_of(images["clients"], site[0].port, command).model_copy(update={"seccomp": "browser"})
    output = await run(backend, spec)
    assert any(b"GET /page" in request and VALUE.encode() in request for request in site[0].received)
    assert VALUE not in output


@pytest.mark.promise("secrets-not-inside")
async def test_the_sandbox_holds_placeholders_and_no_key(
    backend: Backend, images: dict[str, str], site: tuple[Host, Path], engine_socket: Path, tmp_path: Path
) -> None:
    command = """
        env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; cat $SSL_CERT_FILE; ls -la /run/muxi/ 2>&1
        grep -rls 'PRIVATE[ ]KEY' /run /tmp /etc /home /workspace 2>/dev/null
        (echo x > /run/muxi/authority.pem) 2>&1
        true
    """
    spec = spec_of(images["clients"], site[0].port, command)
    async with backend.lease(spec) as lease:
        with docker.APIClient(base_url=f"unix://{engine_socket}", version="auto") as engine:
            inspected = json.dumps(engine.inspect_container(lease.sandbox.id))
        code, output, _ = json.loads(await lease.sandbox.receive())
    assert code == 0
    assert MINE in output
    assert "BEGIN CERTIFICATE" in output
    assert "PRIVATE KEY" not in output
    assert "Read-only file system" in output or "Permission denied" in output
    assert VALUE not in output + inspected
    assert "PRIVATE KEY" in (tmp_path / "authority.pem").read_text()
