"""Network clients, unmodified, in real sandboxes: they go through the forwarder and the proxy to a site of our own."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest
from client_image import ensure_client_image
from local_site import PAGE, Site, local_site
from node_tools import NODE_MODULES

from muxi_sandbox.contract import Backend, Limits, Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.egress.addresses import FixedResolver
from muxi_sandbox.egress.contract import Destination, Peer, Verdict
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.settings import EgressSettings

pytestmark = [pytest.mark.timeout(300), pytest.mark.anyio]

NAME = "site.test"
RUN = """
import json, os, subprocess, sys
with open("/tmp/ca.pem", "w") as file:
    file.write(os.environ.pop("AUTHORITY"))
done = subprocess.run(["bash", "-c", sys.argv[1]], capture_output=True, text=True, cwd="/tmp", stdin=subprocess.DEVNULL)
print(json.dumps([done.returncode, done.stdout, done.stderr[-2000:]]), flush=True)
"""
CHROMIUM = "chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=/tmp/profile"
FETCH = "fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t))"
GET = 'require("https").get(process.argv[1], r => r.pipe(process.stdout))'


class Told:
    """A gatekeeper that permits, and remembers what it was told."""

    def __init__(self) -> None:
        self.places: list[tuple[str, int, bool]] = []

    async def decide(self, peer: Peer, destination: Destination) -> Verdict:
        del peer, destination
        return Verdict(allowed=True, rule="test")

    async def tell(self, peer: Peer, kind: str, facts: Mapping[str, Any]) -> None:
        if kind == "egress.decided":
            self.places.append((facts["host"], facts["port"], facts["allowed"]))
        assert peer.task == "clients"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with local_site(tmp_path_factory.mktemp("site"), NAME) as site:
        yield site


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
async def backend(engine_socket: Path, told: Told, site: Site) -> AsyncIterator[Backend]:
    settings = EgressSettings(private=(f"{NAME}:{site.https_port}", f"{NAME}:{site.http_port}"))
    egress = EgressProxy(settings, told, resolver=FixedResolver({NAME: ["127.0.0.1"]}))
    async with DockerBackend(
        EngineSettings(socket=engine_socket), f"clients-{uuid4().hex[:8]}", egress=egress
    ) as backend:
        yield backend


def spec_of(image: str, site: Site, command: str) -> Spec:
    return Spec(
        task="clients",
        server="client",
        image=image,
        command=("python3", "-c", RUN, command),
        environment={"AUTHORITY": site.authority},
        network=(f"{NAME}:{site.https_port}", f"{NAME}:{site.http_port}"),
        limits=Limits(memory_mib=1024, tmp_mib=256, pids=256, open_files=4096, shm_mib=64),
    )


async def run(backend: Backend, spec: Spec) -> str:
    """What the command writes to its standard output."""
    async with backend.lease(spec) as lease:
        code, output, errors = json.loads(await lease.sandbox.receive())
    assert code == 0, errors
    return str(output)


def python(variable: str, statement: str) -> str:
    return f'{variable}=/tmp/ca.pem python3 -c "{statement}; print(x, end=str())"'


URLOPEN = "from urllib.request import urlopen; x = urlopen('{}/page.txt').read().decode()"
CLIENTS = {
    "curl": "curl -sS --cacert /tmp/ca.pem {https}/page.txt",
    "curl, plain": "curl -sS {http}/page.txt",
    "urllib": python("SSL_CERT_FILE", URLOPEN.format("{https}")),
    "urllib, plain": python("IGNORED", URLOPEN.format("{http}")),
    "requests": python("REQUESTS_CA_BUNDLE", "import requests; x = requests.get('{https}/page.txt').text"),
    "httpx": python("SSL_CERT_FILE", "import httpx; x = httpx.get('{https}/page.txt').text"),
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_page_is_fetched_by(
    backend: Backend, images: dict[str, str], site: Site, told: Told, client: str
) -> None:
    command = CLIENTS[client].format(https=site.https, http=site.http)
    assert await run(backend, spec_of(images["clients"], site, command)) == PAGE
    port = site.http_port if "plain" in client else site.https_port
    assert told.places == [(NAME, port, True)]


async def test_pip_installs_from_an_index(backend: Backend, images: dict[str, str], site: Site) -> None:
    command = f"""
        pip install -q --break-system-packages --target t --cert /tmp/ca.pem --index-url {site.https}/simple sample >&2
        PYTHONPATH=t python3 -c 'import sample; print(sample.WORD)'
    """
    assert await run(backend, spec_of(images["clients"], site, command)) == "installed\n"


async def test_npm_installs_from_a_registry(backend: Backend, images: dict[str, str], site: Site) -> None:
    command = f"""
        mkdir n && cd n && npm_config_cafile=/tmp/ca.pem npm install --registry {site.https}/npm/ --no-audit --no-fund \
            --no-update-notifier sample >&2 && node -e 'console.log(require("sample"))'
    """
    assert await run(backend, spec_of(images["clients"], site, command)) == "installed\n"


async def test_git_clones(backend: Backend, images: dict[str, str], site: Site) -> None:
    command = f"GIT_SSL_CAINFO=/tmp/ca.pem git clone -q {site.https}/sample.git r && cat r/file.txt"
    assert await run(backend, spec_of(images["clients"], site, command)) == "cloned\n"


async def test_chromium_shows_a_page_and_runs_its_script(
    backend: Backend, images: dict[str, str], site: Site, told: Told
) -> None:
    command = f"timeout 120 {CHROMIUM} --dump-dom {site.http}/page.html"
    assert '<p id="p">alive</p>' in await run(backend, spec_of(images["clients"], site, command))
    # What it wants of its maker's hosts is not in the list.
    assert {place for place in told.places if place[2]} == {(NAME, site.http_port, True)}


async def test_fetch_of_the_code_image_s_node_follows_the_proxy(
    backend: Backend, images: dict[str, str], site: Site
) -> None:
    command = f"NODE_EXTRA_CA_CERTS=/tmp/ca.pem node -e '{FETCH}' {site.https}/page.txt"
    assert await run(backend, spec_of(images["code"], site, command)) == PAGE


@pytest.fixture
def newer_node_image(engine_socket: Path, images: dict[str, str]) -> Iterator[str]:
    """The clients with the Node.js of the test tools, which reads the variables itself."""
    program = next(NODE_MODULES.glob("node-linux-*/bin/node"), None)
    assert program is not None, "the test tools' Node.js is not installed: run scripts/node.sh"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(program, "node22")
    tag = f"muxi-test-{uuid4().hex[:12]}:1"
    with docker.APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
        base = client.create_container(images["clients"], ["true"])
        try:
            client.put_archive(base, "/usr/local/bin", packed.getvalue())
            client.commit(base, *tag.split(":"))
            yield tag
        finally:
            client.remove_container(base)
            client.remove_image(tag)


async def test_fetch_of_a_newer_node_follows_the_proxy_by_itself(
    backend: Backend, newer_node_image: str, site: Site
) -> None:
    command = f"NODE_EXTRA_CA_CERTS=/tmp/ca.pem node22 -e '{FETCH}' {site.https}/page.txt"
    assert await run(backend, spec_of(newer_node_image, site, command)) == PAGE
    command = f"NODE_EXTRA_CA_CERTS=/tmp/ca.pem node22 -e '{GET}' {site.https}/page.txt"
    assert await run(backend, spec_of(newer_node_image, site, command)) == PAGE


async def test_loopback_stays_the_sandbox_s_own(
    backend: Backend, images: dict[str, str], site: Site, told: Told
) -> None:
    command = """
        python3 -m http.server -b 127.0.0.1 8000 >/dev/null 2>&1 &
        curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://localhost:8000/ca.pem | head -1
        kill %1
    """
    assert "BEGIN CERTIFICATE" in await run(backend, spec_of(images["clients"], site, command))
    assert told.places == []


async def test_a_host_that_is_not_named_is_refused_with_words(
    backend: Backend, images: dict[str, str], site: Site, told: Told
) -> None:
    command = "curl -s http://other.test/ -o /dev/null -w '%{http_code}'; curl -sS https://other.test/ 2>&1; true"
    output = await run(backend, spec_of(images["clients"], site, command))
    assert output.startswith("403")
    assert "response 403" in output
    assert {place[2] for place in told.places} == {False}
