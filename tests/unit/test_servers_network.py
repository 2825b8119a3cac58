"""What the built-in servers say of the network: the truth, whether there is one or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp import Client
from servers_harness import local

RUNNERS = {"code": {"run", "session_run"}, "shell": {"run", "process_start"}}


@pytest.mark.parametrize("server", RUNNERS)
@pytest.mark.parametrize("proxy", [{}, {"HTTPS_PROXY": "http://127.0.0.1:3128"}])
async def test_tools_that_run_programs_tell_whether_these_reach_out(
    server: str, proxy: dict[str, str], tmp_path: Path
) -> None:
    parameters = local(server, tmp_path)
    environment = {name: value for name, value in (parameters.env or {}).items() if "proxy" not in name.lower()}
    async with Client(parameters.model_copy(update={"env": {**environment, **proxy}})) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    reaching = {name for name, tool in tools.items() if tool.annotations and tool.annotations.open_world_hint}
    assert reaching == (RUNNERS[server] if proxy else set())
    said = "HTTPS_PROXY" if proxy else "There is no network."
    assert said in (tools["run"].description or "")
