"""The http server in its sandbox, behind the gateway: an API over TLS, a secret that stays outside, files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from egress_scene import Host, host
from engine_state import installation
from mcp import Client
from running import COMMAND, Running
from secret_scene import tls_host
from servers_harness import as_leased, leased, text_of
from web_hosts import echo_api, ensure_image, serve_web

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

pytestmark = pytest.mark.timeout(280)

ADDRESS = "127.0.0.2"
"""Of the host's loopback, and not one that clients keep from a proxy."""
VALUE = "hunter2-hunter2-hunter2"


class Hosts(NamedTuple):
    """An API over TLS that wants the secret and says what it got; pages over HTTP."""

    api: Host
    pages: Host
    trust: Path


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("hosts")
    with (
        tls_host(folder / "tls", echo_api(VALUE), ADDRESS, ADDRESS) as (api, trust),
        host(serve_web("127.0.0.3:80", f"https://{ADDRESS}:{api.port}"), ADDRESS) as pages,
    ):
        yield Hosts(api, pages, trust)


@pytest.fixture(scope="module")
def web_image(engine_socket: Path) -> str:
    return ensure_image(engine_socket, "web")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, hosts: Hosts, web_image: str) -> Iterator[Running]:
    del web_image
    home = tmp_path_factory.mktemp("http") / "home"
    home.mkdir()
    places = [f"{ADDRESS}:{one.port}" for one in hosts[:2]]
    secret = {"hosts": places[:1], "places": ["header", "query"]}
    settings = {
        "gateway": {"port": 0},
        "servers": {
            "http": {
                "environment": {"HTTP_SEND": "allow"},
                "network": {"allow": places},
                "secrets": {"API_KEY": secret},
            }
        },
        "egress": {"private": places, "certificates": str(hosts.trust)},
    }
    (home / "muxi.yaml").write_text(json.dumps(settings))
    running = Running(home)
    try:
        running.up()
        command = [*COMMAND, "--home", str(home), "secrets", "set", "API_KEY"]
        subprocess.run(command, input=VALUE, text=True, check=True, capture_output=True, timeout=60)
        yield running
    finally:
        running.run("down")


@pytest.fixture
async def client(runtime: Running) -> AsyncIterator[Client]:
    async with runtime.client() as client:
        yield client


@pytest.fixture(scope="module")
def api(hosts: Hosts) -> str:
    return f"https://{ADDRESS}:{hosts.api.port}"


@pytest.fixture(scope="module")
def pages(hosts: Hosts) -> str:
    return f"http://{ADDRESS}:{hosts.pages.port}"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(f"http__{tool}", arguments)
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(f"http__{tool}", arguments)
    assert result.is_error, result.content
    return text_of(result)


@pytest.mark.promise("secrets-not-inside")
async def test_the_host_gets_the_secret_and_neither_sandbox_nor_caller_sees_it(
    client: Client, api: str, hosts: Hosts
) -> None:
    for auth in (
        {"secret": "API_KEY"},
        {"secret": "API_KEY", "scheme": "basic", "user": "me"},
        {"secret": "API_KEY", "scheme": "header", "name": "X-Api-Key"},
        {"secret": "API_KEY", "scheme": "query", "name": "key"},
    ):
        result = await client.call_tool("http__get", {"url": f"{api}/echo", "auth": auth})
        assert not result.is_error, result.content
        assert VALUE not in str(result)
        assert result.structured_content
        shown = result.structured_content["json"]["seen"]
        assert ("[secret API_KEY]" in shown) == (auth.get("scheme") != "basic")
    seen = b"".join(hosts.api.received[-4:])
    assert f"Authorization: Bearer {VALUE}\r\n".encode() in seen
    assert f"X-Api-Key: {VALUE}\r\n".encode() in seen
    assert f"?key={VALUE} HTTP/1.1\r\n".encode() in seen
    assert b"muxi-secret-" not in seen


async def test_a_refused_secret_is_named_and_where_it_went(client: Client, api: str) -> None:
    said = await refused(
        client, "get", url=f"{api}/only-bearer", auth={"secret": "API_KEY", "scheme": "header", "name": "X-Key"}
    )
    assert "401 Unauthorized" in said
    assert "does not accept the secret API_KEY in the header X-Key" in said
    assert "This server has: API_KEY" in await refused(client, "get", url=f"{api}/only-bearer")


@pytest.mark.promise("secrets-only-to-their-host")
async def test_a_secret_goes_to_no_other_host(client: Client, pages: str, hosts: Hosts) -> None:
    said = await refused(client, "get", url=f"{pages}/json", auth={"secret": "API_KEY"})
    assert "The proxy refused" in said
    assert "API_KEY" in said
    assert not [one for one in hosts.pages.received if b"muxi-secret-" in one or VALUE.encode() in one]


async def test_an_answer_is_taken_apart_and_bounded(client: Client, api: str, pages: str) -> None:
    found = await call(client, "get", url=f"{pages}/json")
    assert found["json"] == {"b": [1, 2], "a": {"c": None}}
    assert found["headers"]["content-type"] == "application/json"
    echoed = await call(client, "get", url=f"{api}/echo", query={"q": "a&b"}, headers={"X-Version": "2"})
    assert "set-cookie" not in echoed["headers"]
    assert "GET /echo?q=a%26b HTTP/1.1" in echoed["json"]["seen"]
    assert "X-Version: 2" in echoed["json"]["seen"]
    cut = await call(client, "get", url=f"{pages}/endless", max_bytes=1000)
    assert (len(cut["text"]), cut["complete"]) == (1000, False)
    moved = await call(client, "get", url=f"{pages}/moved")
    assert (moved["status"], moved["headers"]["location"]) == (302, "/page")


async def test_something_is_sent_as_the_call_says(client: Client, api: str, hosts: Hosts) -> None:
    for body, wanted in (
        ({"json": {"a": [1, None]}}, b'{"a": [1, null]}'),
        ({"form": {"a": "x y", "b": 2}}, b"a=x+y&b=2"),
        ({"text": "words"}, b"words"),
    ):
        await call(client, "send", method="POST", url=f"{api}/echo", **body)
        assert hosts.api.received[-1].partition(b"\r\n\r\n")[2] == wanted
    assert "one body" in await refused(client, "send", method="PUT", url=f"{api}/echo", json=1, text="x")


async def test_files_come_and_go_whole(client: Client, api: str, pages: str, hosts: Hosts) -> None:
    saved = await call(client, "download", url=f"{pages}/pdf", path="papers/one.pdf")
    assert (saved["path"], saved["media_type"]) == ("papers/one.pdf", "application/pdf")
    read = await client.call_tool("files__stat", {"path": "papers/one.pdf"})
    assert read.structured_content
    assert read.structured_content["size_bytes"] == saved["size_bytes"]
    await call(client, "upload", url=f"{api}/echo", path="papers/one.pdf", media_type="application/pdf")
    sent = hosts.api.received[-1]
    assert sent.startswith(b"PUT /echo ")
    assert sent.partition(b"\r\n\r\n")[2].startswith(b"%PDF-1.4")

    assert "exists already" in await refused(client, "download", url=f"{pages}/pdf", path="papers/one.pdf")
    assert "nothing was saved" in await refused(client, "download", url=f"{pages}/busy", path="x")
    assert "max_bytes" in await refused(client, "download", url=f"{pages}/endless", path="x", max_bytes=1000)
    assert "broken" in await refused(client, "download", url=f"{pages}/short", path="x")
    assert "out of the workspace" in await refused(client, "download", url=f"{pages}/pdf", path="../x")
    assert "does not exist" in await refused(client, "upload", url=f"{api}/echo", path="no-such-file")
    listed = await client.call_tool("files__list", {"path": "."})
    assert listed.structured_content
    assert [one["path"] for one in listed.structured_content["entries"]] == ["papers"]


@pytest.mark.promise("hosts-cannot-hold-a-tool")
async def test_slow_hosts_are_given_up_and_others_not_reached(client: Client, pages: str) -> None:
    for path in ("stalls", "drips"):
        assert "took longer than 1 s" in await refused(client, "get", url=f"{pages}/{path}", timeout_seconds=1)
    said = await refused(client, "get", url="https://example.com/v1")
    assert 'add "example.com" to servers.http.network.allow in muxi.yaml' in said


async def test_as_it_ships_it_reaches_nothing_and_sends_nothing(web_image: str, engine_socket: Path) -> None:
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation("http-shipped")) as backend,
        leased(backend, as_leased("http", web_image, "shipped")) as client,
    ):
        said = text_of(await client.call_tool("get", {"url": "https://example.com/"}))
        assert 'add "example.com" to servers.http.network.allow in muxi.yaml' in said
        sent = await client.call_tool("send", {"method": "POST", "url": "https://example.com/", "json": {}})
        assert "HTTP_SEND: allow" in text_of(sent)
        hints = [tool.annotations for tool in (await client.list_tools()).tools]
        assert not [hint for hint in hints if hint and hint.open_world_hint]


async def test_the_tools_say_what_they_do(client: Client) -> None:
    hints = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
    found = {
        name: (hint.read_only_hint, hint.destructive_hint, hint.open_world_hint)
        for name in ("get", "send", "download", "upload")
        if (hint := hints[f"http__{name}"])
    }
    assert found == {
        "get": (True, False, True),
        "send": (False, True, True),
        "download": (False, True, True),
        "upload": (False, True, True),
    }
