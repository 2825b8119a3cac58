"""A whole runtime with secrets: set by a command, used in a tool call, seen nowhere."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from egress_scene import Host
from engine_state import inspected
from running import COMMAND, Running
from secret_scene import tls_host

pytestmark = pytest.mark.timeout(280)

ADDRESS = "127.0.0.2"
"""Of the host's loopback, and not one that clients keep from a proxy."""
VALUE = "hunter2-hunter2-hunter2"
NEWER = "correct-horse-battery"
FETCH = """
import os, sys, urllib.error, urllib.request
for url in sys.argv[1:]:
    try:
        request = urllib.request.Request(url, headers={"Authorization": "Bearer " + os.environ["API_KEY"]})
        print(urllib.request.urlopen(request).read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode(), end="")
"""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    folder = tmp_path_factory.mktemp("sites")
    with (
        tls_host(folder / "first", name=ADDRESS, address=ADDRESS) as (first, trust),
        tls_host(folder / "second", name=ADDRESS, address=ADDRESS) as (second, _),
    ):
        (folder / "trust.pem").write_text(trust.read_text())
        yield first, second


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, sites: tuple[Host, Host]) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("secrets") / "home"
    home.mkdir()
    places = [f"{ADDRESS}:{one.port}" for one in sites]
    trust = next(tmp_path_factory.getbasetemp().glob("sites*/trust.pem"))
    settings = {
        "gateway": {"port": 0},
        "servers": {"code": {"network": {"allow": places}, "secrets": {"API_KEY": {"hosts": places[:1]}}}},
        "egress": {"private": places, "certificates": str(trust)},
    }
    (home / "muxi.yaml").write_text(json.dumps(settings))
    running = Running(home)
    try:
        running.up()
        yield running
    finally:
        running.run("down")


def secret(runtime: Running, verb: str, value: str) -> str:
    done = subprocess.run(
        [*COMMAND, "--home", str(runtime.home), "secrets", verb, "API_KEY"],
        input=value,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def fetch(runtime: Running, *sites: Host) -> str:
    urls = json.dumps([f"https://{ADDRESS}:{site.port}/" for site in sites])
    arguments = ["--arg=language=python", f"--arg=code={FETCH}", f"--json-arg=args={urls}"]
    found = runtime.json("call", "code.run", *arguments)["structuredContent"]
    return str(found["stdout"] + found["stderr"])


def events(runtime: Running, kind: str) -> list[dict[str, Any]]:
    lines = runtime.run("journal", "search", "--kind", kind, "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.promise("secrets-not-inside")
def test_a_secret_s_whole_life(runtime: Running, sites: tuple[Host, Host], engine_socket: Path) -> None:
    parts = {part["name"]: part for part in runtime.json("status")["components"]}
    assert parts["secrets"]["detail"] == "warning: not set: API_KEY, for code"
    assert "secrets set API_KEY" in parts["secrets"]["cure"]
    said = fetch(runtime, sites[0])
    assert said.startswith("403"), said
    assert "The secret API_KEY is not set. Set it: `muxi-runtime secrets set API_KEY`." in said

    printed = secret(runtime, "set", VALUE)
    seen = fetch(runtime, sites[0])
    assert f"Authorization: Bearer {VALUE}".encode() in sites[0].received[-1]
    assert "Authorization: Bearer muxi-secret-" in seen

    printed += secret(runtime, "rotate", NEWER)
    seen += fetch(runtime, sites[0], sites[1])
    assert f"Authorization: Bearer {NEWER}".encode() in sites[0].received[-1]
    assert sites[1].received == []
    assert "is not for" in seen

    used, refused = events(runtime, "secret.used"), events(runtime, "secret.refused")
    assert [(one["principal"], one["data"]["name"], one["data"]["rule"]) for one in used] == [
        ("local", "API_KEY", "secrets-of-the-profile")
    ] * 2
    assert [(one["data"]["name"], one["data"]["port"]) for one in refused] == [
        ("API_KEY", sites[0].port),
        ("API_KEY", sites[1].port),
    ]
    assert runtime.json("status")["components"]
    nowhere = [printed, seen, *everything_told(runtime), *containers(runtime, engine_socket), *files(runtime.home)]
    assert not [text[:200] for text in nowhere if VALUE in text or NEWER in text]


def everything_told(runtime: Running) -> list[str]:
    commands = [("journal", "search", "--json"), ("secrets", "list", "--json"), ("servers", "list", "--json")]
    commands += [("config", "show"), ("tasks", "list", "--json"), ("servers", "logs", "code", "--json")]
    return [runtime.run(*command).stdout for command in commands]


def containers(runtime: Running, engine_socket: Path) -> list[str]:
    with docker.APIClient(base_url=f"unix://{engine_socket}", version="auto") as engine:
        found = inspected(engine, [f"muxi.installation={runtime.installation}"])
        assert found
        return [json.dumps(one) for one in found]


def files(home: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file()]
