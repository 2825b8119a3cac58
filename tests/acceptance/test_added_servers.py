"""Servers from npm and PyPI, unmodified: added by one command, listed, called, with nothing but what was granted."""

from __future__ import annotations

import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from tests.support.registries import registry_hosts
from tests.support.running import Running, running_runtime
from tests.support.terminal import answered

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

NPM = "npm:@modelcontextprotocol/server-"
CHROMIUM = ("--debian", "chromium", "--browser", "--arg=--headless", "--arg=--isolated")
ADDRESS = "127.0.0.9"
PAGE = b"<html><head><title>Local</title></head><body><h1>Served here</h1><p>Some words.</p></body></html>"


class Page(http.server.BaseHTTPRequestHandler):
    """One page, whatever is asked for."""

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/robots.txt" else 200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Not to standard error."""


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """Its `address:port`: not public, which the operator allows; not one that programs go to without a proxy."""
    with http.server.ThreadingHTTPServer((ADDRESS, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{ADDRESS}:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, page: str) -> Iterator[Running]:
    sections = {"egress": {"private": [*registry_hosts(), page]}}
    with running_runtime(tmp_path_factory.mktemp("added") / "home", sections) as running:
        yield running


async def allow(_context: Any, _params: types.ElicitRequestParams) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"allow": True})


@asynccontextmanager
async def person(running: Running) -> AsyncIterator[Client]:
    """A client whose person approves."""
    async with running.client(elicitation_callback=allow) as client:
        yield client


async def text(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    said = "\n".join(part.text for part in result.content if isinstance(part, types.TextContent))
    assert not result.is_error, said
    return said


def add(running: Running, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = running.json("servers", "add", *arguments, "--yes")
    assert document["added"]
    return document


def state_of(running: Running, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in running.json("servers", "list")["servers"] if s["name"] == name)
    return found


async def test_everything(running: Running):
    document = add(running, f"{NPM}everything@2026.8.31")
    assert len(document["tools"]) == 17  # it shows some only to clients that can be asked things
    assert document["manifest"]["image"].startswith("sha256:")
    assert document["manifest"]["install"]["source"] == f"{NPM}everything@2026.8.31"
    assert all(part["version"] and part["hash"] for part in document["parts"])
    server = state_of(running, "everything")
    assert (server["state"], len(server["tools"]), server["built_in"]) == ("ready", 17, False)
    assert server["profile"]["network"]["allow"] == []
    assert server["profile"]["workspace"] == "none"
    async with person(running) as client:
        assert "Echo: hi" in await text(client, "everything__echo", {"message": "hi"})
        assert "5" in await text(client, "everything__get-sum", {"a": 2, "b": 3})


async def test_filesystem_with_the_tasks_files(running: Running):
    add(running, f"{NPM}filesystem", "--arg", "/workspace", "--workspace", "write")
    async with person(running) as client:
        await text(client, "filesystem__write_file", {"path": "/workspace/note.txt", "content": "hello"})
        assert "hello" in await text(client, "files__read", {"path": "note.txt"})


async def test_memory(running: Running):
    add(running, f"{NPM}memory", "--env", "MEMORY_FILE_PATH=/tmp/memory.json")
    async with person(running) as client:
        entity = {"name": "Ada", "entityType": "person", "observations": ["writes programs"]}
        await text(client, "memory__create_entities", {"entities": [entity]})
        assert "writes programs" in await text(client, "memory__search_nodes", {"query": "Ada"})


async def test_sequential_thinking(running: Running):
    add(running, f"{NPM}sequential-thinking")
    async with person(running) as client:
        thought = {"thought": "one", "thoughtNumber": 1, "totalThoughts": 2, "nextThoughtNeeded": True}
        assert '"totalThoughts": 2' in await text(client, "sequential-thinking__sequentialthinking", thought)


async def test_playwright_with_the_browsers_own_sandbox_on(running: Running):
    add(running, "npm:@playwright/mcp", *CHROMIUM, "--arg=--executable-path=/usr/bin/chromium", "--workspace", "write")
    async with person(running) as client:
        await text(client, "playwright__browser_navigate", {"url": "chrome://sandbox"})
        assert "You are adequately sandboxed." in await text(client, "playwright__browser_snapshot", {})


async def test_chrome_devtools(running: Running):
    add(running, "npm:chrome-devtools-mcp", *CHROMIUM, "--arg=--executablePath=/usr/bin/chromium")
    async with person(running) as client:
        await text(client, "chrome-devtools__navigate_page", {"pageId": 1, "url": "data:text/html,<h1>Shown</h1>"})
        assert "Shown" in await text(client, "chrome-devtools__take_snapshot", {"pageId": 1})


@pytest.mark.promise("new-servers-are-reviewed")
async def test_context7_speaks_to_the_model_so_a_person_has_to_look(running: Running):
    refused = running.run("servers", "add", "npm:@upstash/context7-mcp", "--yes", check=False)
    assert refused.returncode == 6
    assert "speaks to the model" in refused.stderr
    said = answered(running.home, "servers", "add", "npm:@upstash/context7-mcp")
    assert said.exit_code == 0, said.text
    assert "This looks suspicious" in said.text
    async with person(running) as client:
        arguments = {"query": "how to start", "libraryName": "something"}
        result = await client.call_tool("context7__resolve-library-id", arguments)
    # It asks a service on the internet, which nobody granted it: the refusal is what it gets, and says so.
    assert result.content


async def test_fetch_reaches_the_one_host_that_it_was_granted(running: Running, page: str):
    # Its own check of addresses needs a resolver, which no sandbox has; the way out checks them anyway.
    add(running, "pypi:mcp-server-fetch", "--allow", page, "--arg=--allow-private-ips")
    async with person(running) as client:
        said = await text(client, "fetch__fetch", {"url": f"http://{page}/"})
        assert "Served here" in said
        refused = await client.call_tool("fetch__fetch", {"url": "http://127.0.0.1:1/"})
        assert refused.is_error


async def test_git(running: Running):
    add(running, "pypi:mcp-server-git", "--name", "repositories", "--workspace", "write")
    async with person(running) as client:
        commands = "git init -q r && cd r && git config user.name a && git config user.email a@b.c && echo x > f"
        await text(client, "shell__run", {"command": commands})
        await text(client, "repositories__git_add", {"repo_path": "/workspace/r", "files": ["f"]})
        await text(client, "repositories__git_commit", {"repo_path": "/workspace/r", "message": "first"})
        assert "first" in await text(client, "repositories__git_log", {"repo_path": "/workspace/r"})


async def test_time(running: Running):
    add(running, "pypi:mcp-server-time==2026.10.19", "--name", "clocks")
    async with person(running) as client:
        arguments = {"source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"}
        assert "Asia/Tokyo" in await text(client, "clocks__convert_time", arguments)


async def test_sqlite_which_needs_an_older_library(running: Running):
    options = ("--constraint", "mcp<2", "--workspace", "write", "--arg=--db-path", "--arg=/workspace/t.db")
    document = add(running, "pypi:mcp-server-sqlite", *options)
    assert next(p["version"] for p in document["parts"] if p["name"] == "mcp").startswith("1.")
    async with person(running) as client:
        await text(client, "sqlite__create_table", {"query": "CREATE TABLE t (word TEXT)"})
        await text(client, "sqlite__write_query", {"query": "INSERT INTO t VALUES ('kept')"})
        assert "kept" in await text(client, "sqlite__read_query", {"query": "SELECT * FROM t"})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("npm:left-pad", "a library, not a server"),
        ("npm:@modelcontextprotocol/server-there-is-none", "Installing failed"),
        ("npm:@modelcontextprotocol/server-everything@0.0.99", "Installing failed"),
        ("pypi:there-is-no-such-package-at-all", "Installing failed"),
        ("pypi:six", "no program to start"),
        ("pypi:cowsay", "exited with code 2"),
        ("pypi:mcp-server-time==0.0.99", "Installing failed"),
        ("path:/nowhere/at/all", "holds no package"),
        ("oci:there/is-none:1", "cannot be pulled"),
    ],
)
async def test_what_is_no_server_is_refused_and_leaves_nothing(running: Running, source: str, said: str):
    before = running.json("servers", "list")
    refused = running.run("servers", "add", source, "--name", "nothing", "--yes", check=False)
    assert refused.returncode not in (0, 1)
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert running.json("servers", "list") == before


async def test_a_server_can_be_switched_off_and_on_and_taken_away(running: Running, tmp_path: Path):
    folder = tmp_path / "greeter"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "greeter"\nversion = "1"\ndependencies = ["mcp>=2.3"]\n'
        '[project.scripts]\ngreeter = "greeter:main"\n[tool.setuptools]\npy-modules = ["greeter"]\n'
    )
    (folder / "greeter.py").write_text(
        "from mcp.server.mcpserver import MCPServer\nserver = MCPServer('greeter')\n"
        "@server.tool()\ndef greet(name: str) -> str:\n    'Say hello.'\n    return f'Hello {name}'\n"
        "def main() -> None:\n    server.run()\n"
    )
    add(running, f"path:{folder}")
    async with person(running) as client:
        assert "Hello Ada" in await text(client, "greeter__greet", {"name": "Ada"})
        running.run("servers", "disable", "greeter")
        assert "greeter__greet" not in {tool.name for tool in (await client.list_tools()).tools}
        running.run("servers", "enable", "greeter")
        assert "Hello Bob" in await text(client, "greeter__greet", {"name": "Bob"})
        running.run("servers", "remove", "greeter")
        assert "greeter__greet" not in {tool.name for tool in (await client.list_tools()).tools}
    assert running.run("servers", "remove", "greeter", check=False).returncode == 6
