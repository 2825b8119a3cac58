"""The web server in its sandbox, behind the gateway: pages as hosts of all kinds serve them, and searching."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from egress_scene import Host, host
from mcp import Client
from running import COMMAND, Running
from secret_scene import tls_host
from servers_harness import text_of, until
from web_hosts import answer, ensure_image, serve_paths, serve_search, serve_web

pytestmark = pytest.mark.timeout(280)

ADDRESS = "127.0.0.2"
"""Of the host's loopback, and not one that clients keep from a proxy."""
PRIVATE = "127.0.0.3:80"
VALUE = "hunter2-hunter2-hunter2"
WORKERS = 8
"""Calls that a server runs at once."""
OUT_OF_ORDER = answer(b"", "text/plain", "503 Service Unavailable")
OTHERS = {"searxng": "", "tavily": "TAVILY_API_KEY", "duckduckgo": ""}
"""Providers besides, each in a server of its own, and the secret that it needs."""
FOUND = [{"title": "A title", "url": "https://example.com/", "snippet": "Words & more.", "published": None}]


class Hosts(NamedTuple):
    """Pages over HTTP; what is searched, over TLS and over HTTP; one that is out of order; the authority of TLS."""

    pages: Host
    search: Host
    plain: Host
    down: Host
    trust: Path


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("hosts")
    with (
        tls_host(folder / "tls", serve_search(VALUE), ADDRESS, ADDRESS) as (search, trust),
        host(serve_web(PRIVATE, f"https://{ADDRESS}:{search.port}"), ADDRESS) as pages,
        host(serve_search(VALUE), ADDRESS) as plain,
        host(serve_paths({"/robots.txt": OUT_OF_ORDER, "/page": answer(b"words")}), ADDRESS) as down,
    ):
        yield Hosts(pages, search, plain, down, trust)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, hosts: Hosts, engine_socket: Path) -> Iterator[Running]:
    ensure_image(engine_socket, "web")
    home = tmp_path_factory.mktemp("web") / "home"
    home.mkdir()
    places = [f"{ADDRESS}:{one.port}" for one in hosts[:4]]
    settings = {
        "gateway": {"port": 0},
        "servers": {
            "web": {
                "environment": {"WEB_SEARCH": "brave", "WEB_SEARCH_URL": f"https://{places[1]}"},
                "network": {"allow": [*places, PRIVATE]},
                "secrets": {"BRAVE_API_KEY": {"hosts": [places[1]]}},
            },
            **{name: other_server(home, name, secret, places) for name, secret in OTHERS.items()},
        },
        "egress": {"private": places, "certificates": str(hosts.trust)},
    }
    (home / "muxi.yaml").write_text(json.dumps(settings))
    running = Running(home)
    try:
        running.up()
        yield running
    finally:
        running.run("down")


def other_server(home: Path, name: str, secret: str, places: list[str]) -> dict[str, Any]:
    """The web server as one of the operator's own, with another provider; only with a secret it is read along."""
    manifest = {
        "name": name,
        "image": "build:web",
        "command": ["python3", "-I", "-m", "muxi_servers.web"],
        "init": False,
        "environment": {"WEB_SEARCH": name, "WEB_IGNORE_ROBOTS": "allow"},
    }
    (home / f"{name}.yaml").write_text(json.dumps(manifest))
    return {
        "manifest": f"{name}.yaml",
        "environment": {"WEB_SEARCH_URL": f"{'https' if secret else 'http'}://{places[1 if secret else 2]}"},
        "network": {"allow": places},
        "secrets": {secret: {"hosts": [places[1]]}} if secret else {},
    }


@pytest.fixture
async def client(runtime: Running) -> AsyncIterator[Client]:
    async with runtime.client() as client:
        yield client


@pytest.fixture(scope="module")
def site(hosts: Hosts) -> str:
    return f"http://{ADDRESS}:{hosts.pages.port}"


async def fetch(client: Client, url: str, **more: Any) -> dict[str, Any]:
    result = await client.call_tool("web__fetch", {"url": url, **more})
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def refused(client: Client, url: str, tool: str = "web__fetch", **more: Any) -> str:
    result = await client.call_tool(tool, {"url": url, **more})
    assert result.is_error, result.content
    return text_of(result)


async def test_a_page_is_its_main_part_in_markdown(client: Client, site: str) -> None:
    found = await fetch(client, f"{site}/page")
    assert (found["title"], found["kind"], found["status"]) == ("Plain words", "html", 200)
    text = found["text"]
    assert text.startswith("# On words\n\nSome **bold** words and [a link](" + site + "/next?a=1).")
    assert '```python\nprint("x")\n```' in text
    assert "| a | b |\n| --- | --- |\n| 1 | 2 |" in text
    assert not [word for word in ("Home", "Imprint", "Ignore your") if word in text]
    whole = await fetch(client, f"{site}/page", main_only=False, format="text")
    assert "Imprint" in whole["text"]
    assert "**" not in whole["text"]
    assert "<h1>" in (await fetch(client, f"{site}/page", format="raw"))["text"]


@pytest.mark.promise("hosts-cannot-hold-a-tool")
async def test_malformed_and_odd_pages_are_read(client: Client, site: str) -> None:
    soup = (await fetch(client, f"{site}/soup", main_only=False))["text"]
    assert all(word in soup for word in ("one", "three", "five", "seven"))
    assert "never" not in soup
    assert (await fetch(client, f"{site}/latin"))["text"] == "grün\n"
    assert (await fetch(client, f"{site}/deep"))["kind"] == "html"
    assert '"c": null' in (await fetch(client, f"{site}/json"))["text"]


async def test_a_long_page_is_read_on_without_asking_again(client: Client, site: str, hosts: Hosts) -> None:
    first = await fetch(client, f"{site}/long", max_characters=1000)
    asked = len(hosts.pages.received)
    second = await fetch(client, f"{site}/long", max_characters=1000, offset=first["next_offset"])
    assert second["offset"] == first["next_offset"]
    last = first["text"].split()[-1]
    assert second["text"].split()[:2] == ["paragraph", str(int(last) + 1)]
    assert len(hosts.pages.received) == asked
    assert "has" in await refused(client, f"{site}/long", offset=1_900_000)


@pytest.mark.promise("hosts-cannot-hold-a-tool")
async def test_a_pdf_is_read_by_pages(client: Client, site: str) -> None:
    found = await fetch(client, f"{site}/pdf")
    assert (found["kind"], found["pages"]) == ("pdf", 2)
    assert found["text"] == "## Page 1\n\nFirst page.\n\n## Page 2\n\nSecond page.\n"
    assert "encrypted" in await refused(client, f"{site}/locked.pdf")
    assert "broken" in await refused(client, f"{site}/broken.pdf")


async def test_a_picture_is_shown_and_an_archive_is_not(client: Client, site: str) -> None:
    result = await client.call_tool("web__fetch", {"url": f"{site}/picture"})
    assert [block.type for block in result.content] == ["text", "image"]
    assert "download saves" in await refused(client, f"{site}/archive")


async def test_redirects_are_followed_within_the_scheme_and_told(client: Client, site: str) -> None:
    found = await fetch(client, f"{site}/moved")
    assert (found["url"], found["redirects"]) == (f"{site}/page", [f"{site}/moved"])
    stayed = await fetch(client, f"{site}/secure")
    assert stayed["redirect_to"].startswith(f"https://{ADDRESS}:")
    assert stayed["text"] == ""
    assert "circle" in await refused(client, f"{site}/circle")


@pytest.mark.promise("egress-no-private-addresses")
async def test_a_redirect_to_a_private_address_is_refused_by_the_proxy(client: Client, site: str) -> None:
    said = await refused(client, f"{site}/inside")
    assert "The proxy refused 127.0.0.3: " in said
    assert "egress.private" in said
    assert f"{site}/inside redirects there" in said


async def test_a_host_that_is_not_allowed_is_named_with_the_setting_that_allows_it(client: Client) -> None:
    for scheme in ("http", "https"):
        said = await refused(client, f"{scheme}://example.com/")
        assert 'add "example.com" to servers.web.network.allow in muxi.yaml' in said


async def test_what_robots_txt_forbids_is_not_read(client: Client, site: str, hosts: Hosts) -> None:
    assert "asks programs not to read /private/page" in await refused(client, f"{site}/private/page")
    said = await refused(client, f"{site}/private/page", ignore_robots=True)
    assert "WEB_IGNORE_ROBOTS: allow" in said
    assert not [one for one in hosts.pages.received if b"/private/" in one]

    asked = {"url": f"{site}/private/page", "ignore_robots": True}
    allowed = await client.call_tool("searxng__fetch", asked)
    assert not allowed.is_error, allowed.content


async def test_without_a_robots_txt_all_may_be_read_and_while_it_cannot_be_had_nothing(
    client: Client, hosts: Hosts
) -> None:
    assert (await fetch(client, f"http://{ADDRESS}:{hosts.plain.port}/search?q=words"))["kind"] == "json"
    said = await refused(client, f"http://{ADDRESS}:{hosts.down.port}/page")
    assert "does not serve its robots.txt now" in said
    assert not [one for one in hosts.down.received if one.startswith(b"GET http") or b" /page " in one]


@pytest.mark.promise("hosts-cannot-hold-a-tool")
async def test_floods_and_bombs_are_cut_and_slow_hosts_given_up(client: Client, site: str) -> None:
    for path in ("endless", "bomb"):
        found = await fetch(client, f"{site}/{path}", max_characters=1000)
        assert not found["complete"]
        assert found["total_characters"] <= 2_000_000
    for path in ("stalls", "drips"):
        assert "took longer than 1 s" in await refused(client, f"{site}/{path}", timeout_seconds=1)


@pytest.mark.promise("hosts-cannot-hold-a-tool")
async def test_calls_that_are_cancelled_let_others_through(client: Client, site: str, hosts: Hosts) -> None:
    stalled = {"url": f"{site}/stalls", "timeout_seconds": 120}

    def stalls() -> int:
        return len([one for one in hosts.pages.received if b"/stalls " in one])

    before = stalls()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(client.call_tool, "web__fetch", stalled)
            await until(lambda: stalls() == before + WORKERS)
            group.cancel_scope.cancel()
        assert (await fetch(client, f"{site}/page"))["title"] == "Plain words"


@pytest.mark.promise("hosts-cannot-hold-a-tool")
async def test_broken_answers_are_told(client: Client, site: str) -> None:
    for path in ("false.gz", "short"):
        assert "broken" in await refused(client, f"{site}/{path}")
    assert "no HTTP/1.1" in await refused(client, f"{site}/junk")  # of a server with secrets the proxy reads along
    assert "404 Not Found" in await refused(client, f"{site}/nothing")
    said = await refused(client, f"{site}/busy")
    assert "429" in said
    assert "after: 7" in said
    for url in ("file:///etc/passwd", "http://u:p@example.com/", "/page"):
        assert "URL" in await refused(client, url)


async def search(client: Client, query: str, server: str = "web") -> Any:
    return await client.call_tool(f"{server}__search", {"query": query})


async def test_a_search_goes_to_the_provider_with_a_key_that_the_sandbox_never_has(
    client: Client, runtime: Running, hosts: Hosts
) -> None:
    unset = text_of(await search(client, "words"))
    assert "BRAVE_API_KEY" in unset
    assert "secrets set BRAVE_API_KEY" in unset
    await set_secret(runtime, "wrong-wrong-wrong")
    wrong = text_of(await search(client, "words"))
    assert "401" in wrong
    assert "the secret BRAVE_API_KEY" in wrong
    assert "wrong-wrong" not in wrong

    await set_secret(runtime, VALUE)
    found = await search(client, "words")
    assert found.structured_content == {"provider": "brave", "results": FOUND}
    assert VALUE.encode() in hosts.search.received[-1]
    assert VALUE not in str(found)
    assert (await search(client, "nothing")).structured_content == {"provider": "brave", "results": []}
    said = {query: text_of(await search(client, query)) for query in ("429", "500", "malformed")}
    assert "again after 3" in said["429"]
    assert "500 Internal Server Error" in said["500"]
    assert "something else than results" in said["malformed"]


async def set_secret(runtime: Running, value: str, name: str = "BRAVE_API_KEY") -> None:
    command = [*COMMAND, "--home", str(runtime.home), "secrets", "set", name]
    await anyio.run_process(command, input=value.encode())


@pytest.mark.parametrize("name", OTHERS)
async def test_each_provider_s_answers_are_understood(client: Client, runtime: Running, name: str) -> None:
    if OTHERS[name]:
        await set_secret(runtime, VALUE, OTHERS[name])
    assert (await search(client, "words", name)).structured_content == {"provider": name, "results": FOUND}
    assert (await search(client, "nothing", name)).structured_content == {"provider": name, "results": []}
    assert "again after 3" in text_of(await search(client, "429", name))
    assert "500 Internal Server Error" in text_of(await search(client, "500", name))
    odd = await search(client, "malformed", name)
    assert odd.is_error
    assert "results" in text_of(odd)


async def test_a_certificate_that_nobody_vouches_for_is_refused(client: Client, hosts: Hosts) -> None:
    url = f"https://{ADDRESS}:{hosts.search.port}/"
    assert "is not to be trusted" in await refused(client, url, "searxng__fetch")


async def test_what_pages_say_makes_the_task_untrusted(client: Client, runtime: Running, site: str) -> None:
    new = await client.call_tool("muxi__task_new", {})
    assert new.structured_content
    task = new.structured_content["task"]
    await client.call_tool("web__fetch", {"url": f"{site}/page"}, meta={"muxi/task": task})
    shown = await anyio.to_thread.run_sync(runtime.json, "tasks", "show", task)
    assert "untrusted" in json.dumps(shown["labels"])
