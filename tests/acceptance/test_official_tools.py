"""The official MCP tools against a runtime as a person has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from node_tools import conformance, inspector
from running import COMMAND, Running

pytestmark = pytest.mark.timeout(300)

ERAS = pytest.mark.parametrize("era", [(), ("--protocol-era", "modern")], ids=["legacy", "modern"])

FIXTURE_FREE = {
    "2025-11-25": {
        "server-initialize",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
        "server-session-lifecycle",
    },
    "2026-07-28": {
        "tools-list",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
    },
}


@pytest.fixture
def bridge(shared_runtime: Running, tmp_path: Path) -> Path:
    """A command without arguments that runs `connect`, for clients that launch one."""
    script = tmp_path / "connect"
    script.write_text(f"#!/bin/sh\nexec {' '.join(COMMAND)} --home {shared_runtime.home} connect\n")
    script.chmod(0o755)
    return script


@ERAS
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_the_inspector_lists_and_calls(shared_runtime: Running, bridge: Path, era: tuple[str, ...], way: str):
    target = (shared_runtime.url if way == "http" else bridge, "--transport", way, *era)
    tools = inspector(*target, "--method", "tools/list")["result"]["tools"]
    assert {"code__run", "files__read", "shell__run", "muxi__task_new"} <= {tool["name"] for tool in tools}

    code = "import sys; print(6 * 7, sys.version_info[0])"
    called = inspector(
        *target, "--method", "tools/call", "--tool-name", "code__run", "--tool-arg", "language=python", f"code={code}"
    )["result"]
    assert called["structuredContent"]["stdout"] == f"42 {sys.version_info[0]}\n"
    assert called["isError"] is False


@pytest.mark.parametrize("revision", sorted(FIXTURE_FREE))
def test_the_conformance_scenarios_that_need_no_fixtures_pass(shared_runtime: Running, tmp_path: Path, revision: str):
    checks = conformance(shared_runtime.url, revision, tmp_path / "out")
    assert FIXTURE_FREE[revision] <= set(checks), sorted(checks)
    for scenario in FIXTURE_FREE[revision]:
        statuses = {check["id"]: (check["status"], check.get("errorMessage")) for check in checks[scenario]}
        assert statuses, scenario
        failed = {name: why for name, (status, why) in statuses.items() if status == "FAILURE"}
        assert not failed, (scenario, failed)
        assert any(status == "SUCCESS" for status, _ in statuses.values()), scenario
