"""Programs that run into a limit, through a real gateway: the result says which and its value, and all goes on."""

from __future__ import annotations

import pytest
from running import Running

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
