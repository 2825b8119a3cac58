"""What `clients add` writes into a client's file works: the client's own reader of it gets to the runtime's tools."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from node_tools import inspector
from running import Running, running_runtime

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, python_image: str):
    """A runtime that answers nobody without a key."""
    del python_image
    with running_runtime(tmp_path_factory.mktemp("strict") / "home", require_key="always") as running:
        yield running


@pytest.fixture(scope="module")
def key(strict: Running) -> str:
    return strict.json("keys", "create", "--user", "ada")["token"]


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Add a client in a home of its own; the file, as its client reads it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def written(running: Running, *arguments: str) -> dict[str, Any]:
        path = Path(running.json("clients", "add", *arguments)["file"])
        assert path.is_relative_to(tmp_path)
        text = path.read_text()
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)

    return written


async def tools_of(entry: dict[str, Any], mode: str = "auto") -> set[str]:
    """The tools that a client finds by an entry, with the fields that such entries have."""
    if "command" in entry:
        path = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        where = StdioServerParameters(
            command=entry["command"], args=entry["args"], env={**path, **entry.get("env", {})}
        )
        async with Client(where, mode=mode) as client:
            return {tool.name for tool in (await client.list_tools()).tools}
    headers = entry.get("headers", entry.get("http_headers"))
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(entry.get("url") or entry["httpUrl"], http_client=http), mode=mode) as client,
    ):
        return {tool.name for tool in (await client.list_tools()).tools}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("client", "section"),
    [("cursor", "mcpServers"), ("vscode", "servers"), ("codex", "mcp_servers"), ("gemini", "mcpServers")],
)
async def test_an_address_with_a_key_leads_to_the_tools(add, strict: Running, key: str, client, section, mode):
    entry = add(strict, client, "--key", key)[section]["muxi"]
    assert {"code__run", "muxi__task_new"} <= await tools_of(entry, mode)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_command_with_a_key_leads_to_the_tools(add, strict: Running, key: str, mode):
    entry = add(strict, "claude-desktop", "--key", key)["mcpServers"]["muxi"]
    assert {"code__run", "muxi__task_new"} <= await tools_of(entry, mode)


async def test_one_server_is_reached_alone_by_address_and_by_command(add, shared_runtime: Running):
    by_address = add(shared_runtime, "zed", "--server", "files")["context_servers"]["muxi-files"]
    by_command = add(shared_runtime, "zed", "--server", "files", "--connect", "--replace")["context_servers"][
        "muxi-files"
    ]
    found = await tools_of(by_address)
    assert "read" in found
    assert found == await tools_of(by_command)


@pytest.mark.parametrize("way", [(), ("--connect",)])
async def test_a_client_that_asks_for_search_is_shown_two_tools(add, shared_runtime: Running, way):
    entry = add(shared_runtime, "cursor", "--tools", "search", *way)["mcpServers"]["muxi"]
    assert await tools_of(entry) == {"tools_search", "tools_call"}
    listed = {row["client"]: row for row in shared_runtime.json("clients", "list")["clients"]}
    assert listed["cursor"]["set_up"] == "yes"


def test_the_inspector_takes_its_file_as_it_was_written(add, strict: Running, key: str, tmp_path: Path):
    add(strict, "inspector", "--key", key)
    listed = inspector("--config", tmp_path / ".mcp-inspector/mcp.json", "--server", "muxi", "--method", "tools/list")
    assert "code__run" in {tool["name"] for tool in listed["result"]["tools"]}
