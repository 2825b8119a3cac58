"""The version of Python or Node.js that an added server asks for is the one that it runs on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.registries import registry_hosts
from tests.support.running import Running, running_runtime

pytestmark = pytest.mark.timeout(600)

PROJECT = """
[project]
name = "tell"
version = "1"
dependencies = ["mcp>=2.3"]
[project.scripts]
tell = "tell:main"
[tool.setuptools]
py-modules = ["tell"]
"""
PROGRAM = """
import sys
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("tell")

@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
def interpreter() -> str:
    'Say what runs this.'
    return sys.version

def main() -> None:
    server.run()
"""
SCRIPT = """#!/usr/bin/env node
const tool = {
  name: 'interpreter', description: 'Say what runs this.', inputSchema: {type: 'object'},
  annotations: {readOnlyHint: true, openWorldHint: false},
}
const answers = {
  initialize: asked => ({
    protocolVersion: asked.protocolVersion, capabilities: {tools: {}}, serverInfo: {name: 'x', version: '1'},
  }),
  'tools/list': () => ({tools: [tool]}),
  'tools/call': () => ({content: [{type: 'text', text: process.version}]}),
}
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const message = JSON.parse(line)
  if (message.id === undefined) return
  const answer = answers[message.method]
  const body = answer ? {result: answer(message.params)} : {error: {code: -32601, message: 'no such method'}}
  process.stdout.write(JSON.stringify({jsonrpc: '2.0', id: message.id, ...body}) + '\\n')
})
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    sections = {"egress": {"private": list(registry_hosts())}}
    with running_runtime(tmp_path_factory.mktemp("interpreters") / "home", sections) as running:
        yield running


@pytest.fixture
def python_project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "tell.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def node_project(tmp_path: Path) -> Path:
    (tmp_path / "tell.js").write_text(SCRIPT)
    package = {"name": "tell", "version": "1.0.0", "bin": {"tell": "tell.js"}, "files": ["tell.js"]}
    (tmp_path / "package.json").write_text(json.dumps(package))
    return tmp_path


def said_by(running: Running, source: Path, *options: str) -> str:
    document = running.json("servers", "add", f"path:{source}", "--name", "tell", "--yes", *options)
    try:
        assert document["added"]
        return running.run("call", "tell.interpreter").stdout
    finally:
        running.run("servers", "remove", "tell")


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_a_python_package_runs_on_the_python_that_was_asked_for(running: Running, python_project: Path, version: str):
    assert f"{version}." in said_by(running, python_project, "--python", version)


@pytest.mark.parametrize("version", ["22", "24"])
def test_a_node_package_runs_on_the_node_that_was_asked_for(running: Running, node_project: Path, version: str):
    assert f"v{version}." in said_by(running, node_project, "--node", version)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--python", "3.12"), "There are: 3.11, 3.13, 3.14."),
        (("--python", "3"), "There are: 3.11, 3.13, 3.14."),
        (("--node", "22"), "node is for packages of npm"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_installed(
    running: Running, python_project: Path, option: tuple[str, str], said: str
):
    refused = running.run("servers", "add", f"path:{python_project}", "--yes", *option, check=False)
    assert refused.returncode == 3
    assert said in refused.stderr
    assert "installing path:" not in refused.stderr.partition("proving")[2]


def test_python_is_not_for_npm_packages(running: Running, node_project: Path):
    refused = running.run("servers", "add", f"path:{node_project}", "--python", "3.11", "--yes", check=False)
    assert refused.returncode == 3
    assert "for Python packages" in refused.stderr
