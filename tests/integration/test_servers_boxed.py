"""The servers in a hardened container, with the interpreter and the libraries that they run beside there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engine_state import installation
from mcp import Client
from servers_harness import SERVERS, as_leased, boxed, leased, text_of

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

# 10.5 MiB in the image; here the sources are mounted, and compiling them at the start takes up to 2 MiB more.
MOST_RESIDENT_KIB = 14 * 1024


@pytest.fixture
async def client(python_image: str) -> AsyncIterator[Client]:
    async with Client(boxed(python_image, "code")) as client:
        yield client


async def run(client: Client, code: str, tool: str = "session_run", **more: Any) -> tuple[dict[str, Any], list[str]]:
    result = await client.call_tool(tool, {"code": code, **more})
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content, [block.type for block in result.content]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_server_answers_in_both_eras(python_image: str, name: str, mode: str) -> None:
    async with Client(boxed(python_image, name), mode=mode) as client:
        assert (await client.list_tools()).tools


async def test_each_language_runs(client: Client) -> None:
    for language, code in (
        ("python", "import sys; print('hi', sys.version_info >= (3, 11))"),
        ("bash", "echo hi True"),
        ("javascript", "console.log('hi True')"),
        ("javascript", "import fs from 'node:fs'; console.log('hi', fs.existsSync('/') ? 'True' : '')"),
    ):
        told, _ = await run(client, code, "run", language=language)
        assert told["stdout"] == "hi True\n", told


async def test_figures_are_shown_and_closed(client: Client) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.figure(); plt.plot([2, 1]);"
    told, blocks = await run(client, code)
    assert (told["images"], blocks) == (2, ["text", "image", "image"])
    told, blocks = await run(client, "fig, ax = plt.subplots()\nax.plot([1, 2])\nfig")
    assert (told["images"], told["result"], blocks) == (1, None, ["text", "image"])
    assert (await run(client, "plt.get_fignums()"))[0]["result"] == "[]"


async def test_in_its_sandbox_no_plot_has_to_look_for_fonts(engine_socket: Path, python_image: str) -> None:
    code = """
import glob, logging
there = glob.glob('/tmp/matplotlib/fontlist*')
said = []
logging.getLogger('matplotlib').setLevel('INFO')
kept = logging.Handler()
kept.emit = lambda record: said.append(record.msg)
logging.getLogger('matplotlib').handlers = [kept]
import matplotlib.font_manager
print(len(there), [word for word in said if 'new fontManager' in word])
"""
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation("fonts")) as backend,
        leased(backend, as_leased("code", python_image, "fonts")) as client,
    ):
        told, _ = await run(client, code, "run", language="python")
        assert told["stdout"] == "1 []\n", told


async def test_pictures_are_shown(client: Client) -> None:
    told, blocks = await run(client, "from PIL import Image\nImage.new('CMYK', (9, 9))")
    assert (told["images"], blocks) == (1, ["text", "image"])


async def test_tables_are_shown_bounded(client: Client) -> None:
    code = (
        "import pandas as pd\n"
        "d = pd.DataFrame({'n': range(1000), 'x': 1.5, 's': 'a|b', 'm': [None] * 1000, 'i': float('inf')})\n"
        "d['t'] = pd.Timestamp('2026-01-02')\nd"
    )
    result = await client.call_tool("session_run", {"code": code})
    assert result.structured_content
    (table,) = result.structured_content["tables"]
    assert table["columns"] == ["n", "x", "s", "m", "i", "t"]
    assert table["rows"][1] == [1, 1.5, "a|b", None, "inf", "2026-01-02 00:00:00"]
    assert (len(table["rows"]), table["total_rows"], table["total_columns"]) == (50, 1000, 6)
    assert "| 1 | 1 | 1.5 | a\\|b |  | inf | 2026-01-02 00:00:00 |" in text_of(result)
    told, _ = await run(client, "display(d.head(1), d['n'].head(2))\nd.iloc[0]['n']")
    assert [table["total_rows"] for table in told["tables"]] == [1, 2]


async def test_a_chart_of_a_run_is_returned_when_asked(client: Client) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('chart.png')"
    told, blocks = await run(client, code, "run", language="python", return_images=True)
    assert told["files"]["created"] == ["chart.png"]
    assert blocks == ["text", "image"]


async def test_an_idle_server_stays_small(client: Client) -> None:
    """Every process of the container that is the guest's: the server and its zygote, pages they share counted once."""
    code = (
        "import os\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    line = open(f'/proc/{pid}/cmdline').read()\n"
        "    rss = [l for l in open(f'/proc/{pid}/status') if l.startswith(('VmRSS', 'PPid'))]\n"
        "    if 'muxi_servers' in line: print(pid, *[l.split()[1] for l in rss])\n"
    )
    told, _ = await run(client, code, "run", language="python")
    rows = [tuple(map(int, line.split())) for line in told["stdout"].splitlines()]
    server = min(rows)
    assert server[2] < MOST_RESIDENT_KIB, rows
