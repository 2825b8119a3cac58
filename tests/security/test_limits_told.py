"""Programs that run into a limit, through a real gateway: the result says which and its value, and all goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from running import Running, running_runtime

BOMBS = {
    "pids": "import os, time\nfor _ in range(400):\n    if not os.fork():\n        time.sleep(30)",
    "memory_mib": "b = []\nwhile True:\n    b.append(bytes(10_000_000))",
    "workspace_mib": "f = open('full', 'wb')\nwhile True:\n    f.write(bytes(1_000_000)); f.flush()",
    "workspace_inodes": "import os\nn = 0\nwhile True:\n    n += 1\n    os.close(os.open(str(n), os.O_CREAT))",
    "tmp_mib": "f = open('/tmp/full', 'wb')\nwhile True:\n    f.write(bytes(1_000_000)); f.flush()",
    "open_files": "import os\nwhile True:\n    os.dup(0)",
}


@pytest.mark.promise("limits-are-told")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("limit", list(BOMBS))
async def test_the_result_names_the_limit_and_its_value(shared_runtime: Running, limit: str) -> None:
    # A legacy session is a task of its own: what is filled here is nobody else's.
    async with shared_runtime.client(mode="legacy") as client:
        result = await client.call_tool("code__run", {"language": "python", "code": BOMBS[limit]})
        after = await client.call_tool("code__run", {"language": "python", "code": "print('goes on')"})
    assert "goes on" in after.content[0].text
    texts = " ".join(block.text for block in result.content if block.type == "text")
    assert f"[limit reached: {limit} = " in texts
    assert f"servers.code.limits.{limit}" in texts
    assert limit in result.meta["muxi/limits"]


@pytest.mark.promise("limits-are-told")
@pytest.mark.timeout(120)
async def test_a_call_beyond_its_time_ends_with_its_limit_and_its_programs(tmp_path: Path, python_image: str) -> None:
    del python_image
    limits = {"servers": {"code": {"limits": {"call_seconds": 2}}}}
    with running_runtime(tmp_path / "home", limits) as running:
        async with running.client() as client:
            await client.call_tool("code__run", {"language": "bash", "code": "true"})
            with pytest.raises(MCPError, match="within 2 s") as refused:
                await client.call_tool("code__run", {"language": "bash", "code": "exec -a sleeper sleep 60"})
            assert "servers.code.limits.call_seconds" in str(refused.value.error.data)
            look = "cat /proc/[0-9]*/cmdline | tr -d '\\0'"
            while "sleeper" in text_of(await client.call_tool("code__run", {"language": "bash", "code": look})):
                pass


def text_of(result: Any) -> str:
    return " ".join(block.text for block in result.content if block.type == "text")
