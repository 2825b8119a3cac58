"""Servers that are images of others: from a registry, pinned to what was got, and only data to the engine."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from docker import APIClient
from docker.errors import ImageNotFound
from tests.support.engine_state import inspected
from tests.support.image_registry import Registry, image_registry
from tests.support.running import Running, running_runtime

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SERVER = """
import json, os, sys
if sys.argv[1:2] == ['--words']:
    VERSION = ' '.join(sys.argv[2:])
else:
    VERSION = 'VERSION'

def report():
    status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
    try:
        open('/etc/evil', 'w')
        written = True
    except OSError:
        written = False
    return {
        'version': VERSION, 'uid': os.getuid(), 'gid': os.getgid(), 'capabilities': int(status['CapEff'], 16),
        'bounding': int(status['CapBnd'], 16), 'no_new_privs': status['NoNewPrivs'].strip(), 'written': written,
        'interfaces': sorted(os.listdir('/sys/class/net')), 'engine': os.path.exists('/var/run/docker.sock'),
        'mounts': [line.split()[1] for line in open('/proc/self/mounts')], 'environment': dict(os.environ),
    }

tool = {'name': 'report', 'description': 'Say what is here.', 'inputSchema': {'type': 'object'},
        'annotations': {'readOnlyHint': True, 'openWorldHint': False}}
answers = {
    'initialize': lambda asked: {'protocolVersion': asked['protocolVersion'], 'capabilities': {'tools': {}},
                                 'serverInfo': {'name': 'x', 'version': '1'}},
    'tools/list': lambda _: {'tools': [tool]},
    'tools/call': lambda _: {'content': [{'type': 'text', 'text': json.dumps(report())}]},
}
for line in sys.stdin:
    message = json.loads(line)
    if 'id' not in message:
        continue
    answer = answers.get(message['method'])
    body = {'result': answer(message.get('params'))} if answer else {'error': {'code': -32601, 'message': 'none'}}
    print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], **body}), flush=True)
"""
PLAIN = """ENTRYPOINT ["python3", "/server.py"]
"""
HOSTILE = """USER 0:0
LABEL muxi.installation=another muxi.task=of-another muxi.server=files muxi.pid=1
LABEL com.docker.options="--privileged --network=host" devcontainer.metadata='{"privileged":true}'
LABEL io.modelcontextprotocol.server.name=files run="docker run --privileged -v /:/host --pid=host IMAGE"
ENV HOME=/root HTTP_PROXY=http://192.0.2.1:3128 DOCKER_HOST=unix:///var/run/docker.sock MUXI_WORKSPACE=write
EXPOSE 22 80/tcp 53/udp
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=1s CMD touch /tmp/health
VOLUME /tmp
WORKDIR /root
ENTRYPOINT ["python3", "/server.py"]
CMD ["--words", "--privileged", "--cap-add=ALL", "-v", "/:/host"]
"""


@dataclass
class Shop:
    """Pushes images to the registry, which the engine does not have afterwards."""

    engine: APIClient
    registry: Registry
    base: str

    def push(self, name: str, rest: str = PLAIN, *, version: str = "1", keep: bool = False) -> str:
        """The digest that the registry gave it."""
        reference = f"{self.registry.address}/{name}"
        self.build(reference, rest, version)
        pushed = [json.loads(line) for line in self.engine.push(reference).splitlines()]
        assert not any("error" in line for line in pushed), pushed
        digest = next(line["aux"]["Digest"] for line in pushed if "aux" in line)
        if not keep:
            self.drop()
        return str(digest)

    def build(self, reference: str, rest: str, version: str = "1") -> None:
        context = io.BytesIO()
        files = {"Dockerfile": f"FROM {self.base}\nUSER 0:0\nCOPY server.py /\nRUN chmod 644 /server.py\n{rest}"}
        files["server.py"] = SERVER.replace("VERSION'", f"{version}'")
        with tarfile.open(fileobj=context, mode="w") as tar:
            for path, text in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        context.seek(0)
        built = list(self.engine.build(fileobj=context, custom_context=True, tag=reference, rm=True, decode=True))
        assert not any("error" in line for line in built), built[-3:]

    def drop(self) -> None:
        """What the engine has of this registry's."""
        for image in self.engine.images():
            for known in [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]:
                if known.startswith(f"{self.registry.address}/") and "<none>" not in known:
                    with suppress(ImageNotFound):  # a digest goes with its last tag
                        self.engine.remove_image(known, force=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, python_image: str) -> Iterator[Running]:
    del python_image
    with running_runtime(tmp_path_factory.mktemp("images") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with image_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def shop(engine_socket: Path, registry: Registry, files_image: str) -> Iterator[Shop]:
    with APIClient(base_url=f"unix://{engine_socket}", version="auto") as engine:
        shop = Shop(engine, registry, files_image)  # the smallest with Python: all of it is pushed
        yield shop
        shop.drop()


@pytest.fixture
def added(running: Running) -> Iterator[str]:
    """A name, of a server that is gone after the test."""
    yield "shown"
    running.run("servers", "remove", "shown", check=False)


def add(running: Running, name: str, source: str, *options: str) -> dict[str, Any]:
    document: dict[str, Any] = running.json("servers", "add", f"oci:{source}", "--name", name, "--yes", *options)
    assert document["added"]
    return document


def report(running: Running, name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(running.run("call", f"{name}.report").stdout)
    return said


async def test_a_tag_is_pulled_and_pinned_to_its_digest_until_an_update(running: Running, shop: Shop, added: str):
    source = f"{shop.registry.address}/tools/shown:latest"
    first = shop.push("tools/shown:latest", version="one")
    document = add(running, added, source)
    assert document["manifest"]["install"]["source"] == f"oci:{source}@{first}"
    assert document["notes"] == []
    assert report(running, added)["version"] == "one"
    second = shop.push("tools/shown:latest", version="two", keep=True)
    assert second != first
    # What runs is what was accepted, whatever the tag means now.
    assert report(running, added)["version"] == "one"
    document = running.json("servers", "update", added, "--yes")
    assert document["updated"] is True
    assert document["waiting"] == []
    assert document["manifest"]["install"]["source"] == f"oci:{source}@{second}"
    assert report(running, added)["version"] == "two"
    document = running.json("servers", "update", added, "--version", first, "--yes")
    assert document["manifest"]["install"]["source"] == f"oci:{source}@{first}"
    assert report(running, added)["version"] == "one"


async def test_what_the_registry_has_goes_before_the_engines_own_copy(running: Running, shop: Shop, added: str):
    source = f"{shop.registry.address}/tools/shown:1"
    digest = shop.push("tools/shown:1", version="of the registry")
    shop.build(source, PLAIN, "of the engine")
    document = add(running, added, source)
    assert document["manifest"]["install"]["source"] == f"oci:{source}@{digest}"
    assert report(running, added)["version"] == "of the registry"


async def test_without_its_registry_the_engines_own_copy_is_used_and_that_is_said(
    running: Running, shop: Shop, added: str
):
    source = f"{shop.registry.address}/tools/shown:2"
    digest = shop.push("tools/shown:2", keep=True)
    shop.registry.stop()
    try:
        document = add(running, added, source)
        assert "The engine's own copy of the image is used" in document["notes"][0]
        running.run("servers", "remove", added)
        document = add(running, added, f"{source}@{digest}")
        assert document["notes"] == []  # a digest means the same everywhere
        running.run("servers", "remove", added)
        gone = f"oci:{shop.registry.address}/tools/other:1"
        refused = running.run("servers", "add", gone, "--yes", check=False)
        assert refused.returncode not in (0, 1)
        assert "connection refused" in refused.stderr
    finally:
        shop.registry.start()


@pytest.mark.parametrize(("name", "said"), [("there/is-none:1", "not found"), ("tools/shown:no-such-tag", "not found")])
async def test_an_image_that_does_not_exist_is_refused_with_what_the_registry_says(
    running: Running, shop: Shop, name: str, said: str
):
    source = f"{shop.registry.address}/{name}"
    refused = running.run("servers", "add", f"oci:{source}", "--name", "none", "--yes", check=False)
    assert refused.returncode not in (0, 1)
    assert f"The engine does not have the image {source}." in refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_arguments_go_to_the_images_own_program(running: Running, shop: Shop, added: str):
    shop.push("tools/shown:3", PLAIN + 'CMD ["--words", "by itself"]\n')
    source = f"{shop.registry.address}/tools/shown:3"
    document = add(running, added, source)
    assert document["manifest"]["command"] == ["python3", "/server.py", "--words", "by itself"]
    assert report(running, added)["version"] == "by itself"
    running.run("servers", "remove", added)
    add(running, added, source, "--arg=--words", "--arg", "as told")
    assert report(running, added)["version"] == "as told"


@pytest.mark.promise("images-are-data")
async def test_nothing_that_an_image_says_of_itself_is_an_option_of_the_engine(
    running: Running, shop: Shop, added: str
):
    shop.push("tools/hostile:1", HOSTILE)
    add(running, added, f"{shop.registry.address}/tools/hostile:1")
    async with running.client() as client:
        result = await client.call_tool(f"{added}__report", {})
        said = json.loads(result.content[0].text)
        labels = [f"muxi.installation={running.installation}", f"muxi.server={added}"]
        containers = await anyio.to_thread.run_sync(inspected, shop.engine, labels)
    assert (said["uid"], said["gid"], said["capabilities"], said["bounding"]) == (65534, 65534, 0, 0)
    assert (said["no_new_privs"], said["written"], said["engine"]) == ("1", False, False)
    assert said["interfaces"] == ["lo"]
    assert said["environment"]["HOME"] == "/tmp"
    assert "/host" not in said["mounts"]
    assert containers
    for container in containers:
        host, config = container["HostConfig"], container["Config"]
        assert (host["Privileged"], host["NetworkMode"], host["ReadonlyRootfs"]) == (False, "none", True)
        assert not host["PortBindings"]
        assert not host["Binds"]
        assert not host["CapAdd"]
        assert config["User"] == "65534:65534"
        assert config["Healthcheck"]["Test"] == ["NONE"]
        assert not any(mount["Type"] == "volume" for mount in container["Mounts"])
        assert config["Labels"]["muxi.task"] != "of-another"
        assert config["Labels"]["muxi.pid"] == str(running.pid)


@pytest.mark.promise("images-are-data")
async def test_an_image_that_wants_a_place_on_the_disk_is_refused(running: Running, shop: Shop):
    shop.push("tools/greedy:1", f"VOLUME /data\n{PLAIN}")
    source = f"{shop.registry.address}/tools/greedy:1"
    refused = running.run("servers", "add", f"oci:{source}", "--yes", check=False)
    assert refused.returncode not in (0, 1)
    assert "declares volumes (/data)" in refused.stderr
