"""The pages of the built-in servers, and the lists of tools that they ship with, are what the servers say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(120)
def test_pages_and_shipped_tools_are_what_the_servers_list() -> None:
    command = [sys.executable, "scripts/server_pages.py", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_no_page_is_left_of_a_server_that_is_gone() -> None:
    servers = {path.parent.name for path in ROOT.glob("mcp_servers/muxi_servers/*/page.md")}
    assert {path.stem for path in ROOT.glob("docs/servers/*.md")} - {"README"} == servers
