"""Built-in servers as a person has them: called by the command, in the sandboxes that their manifests ask for."""

from __future__ import annotations

import json
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


def call(runtime: Running, tool: str, **arguments: Any) -> Any:
    texts = [f"--json-arg={name}={json.dumps(value)}" for name, value in arguments.items()]
    return runtime.json("call", tool, *texts)["structuredContent"]


@pytest.mark.usefixtures("late_images")
def test_clocks_thoughts_repositories_sums_and_tables(shared_runtime: Running) -> None:
    """One task: what git and data do is in one workspace, and thoughts stay between calls."""
    assert call(shared_runtime, "time.convert", time="2026-11-21T12:00", to=["Asia/Tokyo"])["moments"][0]["iso"] == (
        "2026-11-21T21:00:00+09:00"
    )
    call(shared_runtime, "thinking.think", thought="Count the rows first.")
    assert call(shared_runtime, "thinking.list")["total"] == 1
    assert call(shared_runtime, "thinking.clear")["cleared"] == 1
    assert call(shared_runtime, "calculator.evaluate", expression="sqrt(2)^2")["exact"] == "2"
    call(shared_runtime, "git.init", repository="project")
    written = call(shared_runtime, "data.export", sql="SELECT 1 AS a", file="project/a.csv")
    assert written["rows"] == 1
    assert call(shared_runtime, "git.add", repository="project", paths=["a.csv"])["staged"] == ["a.csv"]
    call(shared_runtime, "git.commit", repository="project", message="Add a table")
    assert call(shared_runtime, "data.query", path="project/a.csv")["rows"] == [[1]]
    call(shared_runtime, "files.delete", path="project", recursive=True)
