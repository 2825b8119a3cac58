"""A command that adds a server is killed in the middle: nothing is added, what it left goes; a live one is spared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from docker import APIClient
from docker.errors import APIError
from tests.support.registries import registry_hosts
from tests.support.running import COMMAND, Running

pytestmark = [pytest.mark.promise("nothing-left-over"), pytest.mark.timeout(300)]

PATIENCE_SECONDS = 120
# The install script waits for a file, so that the test decides when the install goes on.
WAIT = "while [ ! -e /workspace/go ]; do sleep 0.1; done"
SERVER = """#!/usr/bin/env node
const readline = require('readline')
const answers = {
  initialize: asked => ({
    protocolVersion: asked.protocolVersion, capabilities: {tools: {}}, serverInfo: {name: 'x', version: '1'},
  }),
  'tools/list': () => ({tools: [{name: 'wait', description: 'Wait.', inputSchema: {type: 'object'}}]}),
}
readline.createInterface({input: process.stdin}).on('line', line => {
  const message = JSON.parse(line)
  if (message.id === undefined) return
  const answer = answers[message.method]
  const body = answer ? {result: answer(message.params)} : {error: {code: -32601, message: 'no such method'}}
  process.stdout.write(JSON.stringify({jsonrpc: '2.0', id: message.id, ...body}) + '\\n')
})
"""


@pytest.fixture
def name() -> str:
    """Of the server: of this test alone, so that no image of another run on the engine is taken for one of it."""
    return f"waiting-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def engine(engine_socket: Path, name: str) -> Iterator[APIClient]:
    with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
        yield client
        for tag in images(client, name):
            client.remove_image(tag)


def images(engine: APIClient, name: str) -> set[str]:
    """Of a server called so."""
    tags = [tag for image in engine.images() for tag in image["RepoTags"] or ()]
    return {tag for tag in tags if tag.startswith(f"muxi-added/{name}:")}


@pytest.fixture
def running(tmp_path: Path, python_image: str) -> Iterator[Running]:
    del python_image
    home = tmp_path / "home"
    home.mkdir()
    sections = {"gateway": {"port": 0}, "egress": {"private": list(registry_hosts())}}
    (home / "muxi.yaml").write_text(json.dumps(sections))
    running = Running(home)
    yield running
    running.run("down")


@pytest.fixture
def source(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "server.js").write_text(SERVER)
    package = {
        "name": name,
        "version": "1.0.0",
        "bin": {name: "server.js"},
        "scripts": {"preinstall": WAIT},
        "files": ["server.js"],
    }
    (folder / "package.json").write_text(json.dumps(package))
    return folder


class Adding:
    """The command, while it runs."""

    def __init__(self, running: Running, engine: APIClient, source: Path) -> None:
        self.running = running
        self.engine = engine
        self.name = source.name
        self._before = set(self.containers()) if (running.home / "installation").exists() else set()
        command = [*COMMAND, "--home", str(running.home), "servers", "add", f"path:{source}", "--yes", "--json"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MUXI_")}
        self.log = running.home / "add.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self.sandbox = ""

    def containers(self) -> list[str]:
        label = f"muxi.installation={self.running.installation}-add"
        return [found["Id"] for found in self.engine.containers(all=True, filters={"label": label})]

    def volumes(self) -> list[str]:
        label = f"muxi.installation={self.running.installation}-add"
        return [found["Name"] for found in self.engine.volumes(filters={"label": label})["Volumes"] or []]

    def folders(self) -> list[Path]:
        """Slots and workspaces, with what is mounted there."""
        folder = Path("/run/muxi-runtime") / f"{self.running.installation}-add"
        return [*folder.glob("slots/*"), *folder.glob("tasks/*")]

    def go_on(self) -> None:
        """Let the install script end, and wait for the command."""
        made = self.engine.exec_create(self.sandbox, ["touch", "/workspace/go"])
        self.engine.exec_start(made["Id"])
        assert self.process.wait(PATIENCE_SECONDS) == 0, self.log.read_text()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def wait(self) -> None:
        """Until the install script waits in a sandbox."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            if (self.running.home / "installation").exists():
                for container in set(self.containers()) - self._before:
                    if self._waits(container):
                        self.sandbox = container
                        return
            time.sleep(0.1)
        raise AssertionError(f"no sandbox came to the install script: {self.log.read_text()}")

    def _waits(self, container: str) -> bool:
        try:
            processes = self.engine.top(container)["Processes"] or ()
        except APIError:  # it is not running yet, or not any more
            return False
        return any("/workspace/go" in " ".join(process) and "preinstall" not in process for process in processes)


@contextmanager
def adding_now(running: Running, engine: APIClient, source: Path) -> Iterator[Adding]:
    adding = Adding(running, engine, source)
    try:
        adding.wait()
        yield adding
    finally:
        if adding.process.poll() is None:
            adding.kill()
        for container in adding.containers():
            with suppress(APIError):  # it goes by itself
                engine.remove_container(container, force=True)


@pytest.fixture
def adding(running: Running, engine: APIClient, source: Path) -> Iterator[Adding]:
    with adding_now(running, engine, source) as adding:
        yield adding


def assert_nothing_was_added(adding: Adding) -> None:
    assert adding.name not in {server["name"] for server in adding.running.json("servers", "list")["servers"]}
    assert not any((adding.running.home / "servers").glob("*/manifest.yaml"))
    assert images(adding.engine, adding.name) == set()


def test_what_a_killed_add_left_goes_with_the_next_up(adding: Adding):
    assert adding.folders()
    adding.kill()
    assert adding.sandbox in adding.containers()
    adding.running.up()
    assert adding.containers() == []
    assert adding.volumes() == []
    assert adding.folders() == []
    assert_nothing_was_added(adding)
    found = adding.running.run("journal", "search", "--kind", "sandbox.reaped", "--json").stdout
    assert len(found.splitlines()) == 1


def test_what_a_killed_add_left_goes_with_the_next_add(adding: Adding, source: Path):
    scratch = adding.running.home / "servers" / ".installing"
    (scratch / "tree-left").mkdir()
    adding.kill()
    with adding_now(adding.running, adding.engine, source) as again:
        assert adding.sandbox not in again.containers()
        assert not (scratch / "tree-left").exists()
        again.go_on()
        assert again.containers() == []
        assert again.folders() == []
    assert not scratch.exists()
    assert [path.parent.name for path in (adding.running.home / "servers").glob("*/manifest.yaml")] == [source.name]


def test_an_add_that_goes_on_is_not_harmed_by_an_up_and_bars_another(adding: Adding, source: Path):
    adding.running.up()
    assert adding.sandbox in adding.containers()
    refused = adding.running.run("servers", "add", f"path:{source}", "--name", "second", "--yes", check=False)
    assert refused.returncode == 6
    assert f"process {adding.process.pid}" in refused.stderr
    adding.go_on()
    server = next(s for s in adding.running.json("servers", "list")["servers"] if s["name"] == source.name)
    assert server["state"] == "ready"
