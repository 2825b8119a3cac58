"""An added server in a newer version: what is as it was goes on, what is different waits, a failure changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from tests.support.registries import registry_hosts
from tests.support.running import Running, running_runtime
from tests.support.terminal import answered

pytestmark = [pytest.mark.anyio, pytest.mark.promise("a-changed-tool-waits"), pytest.mark.timeout(300)]

PROJECT = (
    '[project]\nname = "greeter"\nversion = "{version}"\n'
    '[project.scripts]\ngreeter = "greeter:main"\nother = "greeter:missing"\n'
    '[tool.setuptools]\npy-modules = ["greeter"]\n'
)
PROGRAM = """
import json
import sys

READS = {'readOnlyHint': True, 'openWorldHint': False}
NAMED = {'type': 'object', 'properties': {'name': {'type': 'string'}}, 'required': ['name']}
TOOLS = [
    {'name': 'version', 'description': 'Say which version answers.', 'inputSchema': {'type': 'object'}},
    {'name': 'greet', 'description': 'GREETING', 'inputSchema': NAMED},
]

def call(asked):
    words = 'VERSION' if asked['name'] == 'version' else 'Hello ' + asked['arguments']['name']
    return {'content': [{'type': 'text', 'text': words}]}

ANSWERS = {
    'initialize': lambda asked: {'protocolVersion': asked['protocolVersion'], 'capabilities': {'tools': {}},
                                 'serverInfo': {'name': 'greeter', 'version': 'VERSION'}},
    'tools/list': lambda _: {'tools': [{**tool, 'annotations': READS} for tool in TOOLS]},
    'tools/call': call,
}

def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if 'id' not in message:
            continue
        answer = ANSWERS.get(message['method'])
        body = {'result': answer(message.get('params'))} if answer else {'error': {'code': -32601, 'message': 'none'}}
        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], **body}), flush=True)
"""
"""Without dependencies: what they take to install is tried elsewhere."""


def write(folder: Path, *, version: str, greeting: str = "Say hello.") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(version=version))
    (folder / "greeter.py").write_text(PROGRAM.replace("VERSION", version).replace("GREETING", greeting))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    sections = {"egress": {"private": list(registry_hosts())}}
    with running_runtime(tmp_path_factory.mktemp("updated") / "home", sections) as running:
        yield running


@pytest.fixture
def greeter(running: Running, tmp_path: Path) -> Iterator[Path]:
    """Added from a folder, which is given."""
    folder = tmp_path / "greeter"
    write(folder, version="1")
    running.run("servers", "add", f"path:{folder}", "--workspace", "read", "--yes")
    yield folder
    running.run("servers", "remove", "greeter")


async def text(client: Client, tool: str, arguments: dict[str, Any] | None = None) -> str:
    result = await client.call_tool(tool, arguments or {})
    assert not result.is_error
    return str(result.content[0].text)


async def test_the_tool_that_changed_waits_and_the_others_go_on_in_the_new_version(running: Running, greeter: Path):
    async with running.client() as client:
        assert await text(client, "greeter__version") == "1"
        write(greeter, version="2", greeting="Say hello, but louder.")
        document = running.json("servers", "update", "greeter", "--yes")
        assert document["updated"] is True
        assert document["changes"] == [{"kind": "tool", "tool": "greet", "change": "changed"}]
        assert document["waiting"] == ["greet"]
        assert document["manifest"]["profile"]["workspace"] == "read"
        assert await text(client, "greeter__version") == "2"
        assert "greeter__greet" not in {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError, match="has changed since it was accepted"):
            await client.call_tool("greeter__greet", {"name": "Ada"})
        (change,) = running.json("pins", "diff", "greeter")["changes"]
        assert '+ "description": "Say hello, but louder.",' in change["diff"]
        running.run("pins", "accept", "greeter.greet")
        assert await text(client, "greeter__greet", {"name": "Ada"}) == "Hello Ada"


async def test_an_update_that_fails_leaves_what_was_there(running: Running, greeter: Path):
    before = running.json("servers", "inspect", "greeter")
    (greeter / "greeter.py").write_text("def main() -> None:\n    raise SystemExit('broken')\n")
    failed = running.run("servers", "update", "greeter", "--yes", check=False)
    assert failed.returncode not in (0, 1)
    assert "broken" in failed.stderr
    (greeter / "pyproject.toml").write_text("[project\n")
    failed = running.run("servers", "update", "greeter", "--yes", "--json", check=False)
    assert failed.returncode not in (0, 1)
    assert "Installing failed" in failed.stderr
    assert running.json("servers", "inspect", "greeter") == before
    async with running.client() as client:
        assert await text(client, "greeter__version") == "1"
        assert await text(client, "greeter__greet", {"name": "Ada"}) == "Hello Ada"


async def test_what_is_up_to_date_is_said_and_left(running: Running, greeter: Path):
    del greeter
    document = running.json("servers", "update", "greeter", "--yes")
    assert document["updated"] is False
    assert document["changes"] == []


async def test_a_person_is_shown_what_is_different_and_may_refuse(running: Running, greeter: Path):
    write(greeter, version="3", greeting="Say hello in a way of its own.")
    said = answered(running.home, "servers", "update", "greeter", answer="n")
    assert said.exit_code == 0, said.text
    assert '+ "description": "Say hello in a way of its own.",' in said.text
    assert "What is different will wait for `pins accept`." in said.text
    assert "Nothing was changed." in said.text
    async with running.client() as client:
        assert await text(client, "greeter__version") == "1"


async def test_a_package_from_an_index_is_updated_to_its_newest_version(running: Running):
    running.run("servers", "add", "pypi:mcp-server-time==2026.8.18", "--name", "clocks", "--yes")
    try:
        document = running.json("servers", "update", "clocks", "--yes")
        assert document["updated"] is True
        source = document["manifest"]["install"]["source"]
        assert source.startswith("pypi:mcp-server-time==2026.")
        assert source != "pypi:mcp-server-time==2026.8.18"
        assert "clocks is up to date" in running.run("servers", "update", "clocks", "--yes").stdout
        refused = running.run("servers", "update", "clocks", "--version", "1 --pre", check=False)
        assert refused.returncode == 3
        assert "is no source" in refused.stderr
    finally:
        running.run("servers", "remove", "clocks")
