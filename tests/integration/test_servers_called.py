"""Built-in servers as a client has them: called through the gateway, in the sandboxes that their manifests ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from running import Running

from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

pytestmark = pytest.mark.timeout(280)


@pytest.fixture(scope="module")
def late_images(engine_socket: Path) -> None:
    """Those that the runtime would else build while it serves."""

    async def ensure() -> None:
        async with ImageStore(EngineSettings(socket=engine_socket)) as images:
            for name in ("data", "calculator"):
                await images.ensure(name, print)

    anyio.run(ensure)


@pytest.mark.usefixtures("late_images")
async def test_clocks_thoughts_repositories_sums_and_tables(shared_runtime: Running) -> None:
    """One task: what git and data do is in one workspace, and thoughts stay between calls."""
    async with shared_runtime.client() as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert result.structured_content, result.content
            return result.structured_content

        told = await call("time__convert", time="2026-11-21T12:00", to=["Asia/Tokyo"])
        assert told["moments"][0]["iso"] == "2026-11-21T21:00:00+09:00"
        await call("thinking__think", thought="Count the rows first.")
        assert (await call("thinking__list"))["total"] == 1
        assert (await call("thinking__clear"))["cleared"] == 1
        assert (await call("calculator__evaluate", expression="sqrt(2)^2"))["exact"] == "2"
        await call("git__init", repository="project")
        assert (await call("data__export", sql="SELECT 1 AS a", file="project/a.csv"))["rows"] == 1
        assert (await call("git__add", repository="project", paths=["a.csv"]))["staged"] == ["a.csv"]
        await call("git__commit", repository="project", message="Add a table")
        assert (await call("data__query", path="project/a.csv"))["rows"] == [[1]]
        await call("files__delete", path="project", recursive=True)
