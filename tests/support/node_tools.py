"""The official MCP test tools (npm, fetched by `make test` into tests/node)."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

NODE_MODULES = Path(__file__).parents[1] / "node" / "node_modules"

SCENARIO = re.compile(r"server-(.+?)-\d{4}-\d{2}-\d{2}T[\d-]+Z")


def run_tool(*command: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """One of the tools, with the Node.js that they need."""
    assert NODE_MODULES.is_dir(), "the MCP test tools are not installed: run scripts/node.sh"
    nodes = [str(folder / "bin") for folder in NODE_MODULES.glob("node-linux-*")]
    path = os.pathsep.join([*nodes, str(NODE_MODULES / ".bin"), os.environ["PATH"]])
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
    )


def inspector(*arguments: object) -> Any:
    """What the Inspector's command line prints as JSON."""
    done = run_tool("mcp-inspector", "--cli", *arguments, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def conformance(url: str, revision: str, out: Path) -> dict[str, list[dict[str, Any]]]:
    """The checks of every scenario of a revision's frozen set, by scenario."""
    run_tool("conformance", "server", "--url", url, "--requirements", revision, "-o", out, timeout=240)
    checks: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(out.glob("server-*/checks.json")):
        scenario = SCENARIO.fullmatch(file.parent.name)
        assert scenario is not None, file
        checks[scenario.group(1)] = json.loads(file.read_text())
    return checks


def client_conformance(command: str, revision: str, scenario: str, out: Path) -> tuple[list[dict[str, Any]], str]:
    """The checks of one client scenario, and what was wrong with the command itself; empty if it ended well.

    The suite starts a server, runs the command with its URL, and looks at what the server saw.
    """
    done = run_tool(
        "conformance", "client", "--command", command, "--scenario", scenario, "--spec-version", revision,
        "--timeout", 60_000, "-o", out,
    )  # fmt: skip
    files = list(out.glob(f"{scenario}-2[0-9][0-9][0-9]-*/checks.json"))  # the time follows, not another name's rest
    checks = json.loads(files[0].read_text()) if files else []
    ended = re.search(r"CLIENT (TIMED OUT|EXITED WITH ERROR)", done.stderr)
    return checks, f"the client {ended.group(1).lower()}" if ended else ""
