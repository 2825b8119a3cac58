"""The engine is stopped under a running call, with everything real: a clear error, and the runtime keeps serving."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from docker import APIClient
from mcp import MCPError
from own_engine import OwnEngine, own_engine
from running import COMMAND, Running

from muxi_runtime.catalog.builtin import built_in_manifests
from muxi_runtime.gateway.wire_errors import SANDBOX_FAILED
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def engine(engine_socket: Path, python_image: str) -> AsyncIterator[OwnEngine]:
    """An engine of the test's own, with the images of the `shell` server."""
    del python_image
    async with ImageStore(EngineSettings(socket=engine_socket)) as images:
        needed = [await images.ensure(name, print) for name in ("base", "python")]
        bases = {image.base for image in await images.list() if image.name == "base"}
    async with own_engine() as engine:
        await anyio.to_thread.run_sync(copy_images, engine_socket, engine, needed, bases)
        yield engine


def copy_images(source: Path, engine: OwnEngine, needed: list[str], bases: set[str]) -> None:
    with APIClient(base_url=f"unix://{source}", version="auto", timeout=120) as have, engine.client() as wants:
        tags = [tag for image in have.images() for tag in image["RepoTags"] or []]
        for tag in [*needed, *(tag for tag in tags if tag.removeprefix("muxi-runtime/") in bases)]:
            wants.load_image(have.get_image(tag))


@contextmanager
def serving(home: Path, socket: Path) -> Iterator[Running]:
    home.mkdir(parents=True)
    settings = {
        "gateway": {"port": 0},
        "engine": {"socket": str(socket)},
        "servers": {name: {"enabled": False} for name in built_in_manifests() if name != "shell"},
    }
    (home / "muxi.yaml").write_text(json.dumps(settings))
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "--home", str(home), "serve"], stdout=log, stderr=log)
    try:
        yield Running(home, pid=process.pid)
    finally:
        process.terminate()
        assert process.wait(90) is not None


async def until_ready(running: Running) -> None:
    while True:
        state = running.run("status", "--json", check=False)
        if state.stdout and (url := json.loads(state.stdout).get("url")):
            running.url = url
            return
        await anyio.sleep(0.2)


async def test_a_call_under_which_the_engine_stops_fails_clearly_and_works_again_later(
    engine: OwnEngine, tmp_path: Path
):
    with serving(tmp_path / "home", engine.socket) as running:
        await until_ready(running)
        async with running.client() as client:
            await client.call_tool("shell__run", {"command": "true"})
            errors: list[MCPError] = []
            began = anyio.Event()

            async def note(*_: object) -> None:
                began.set()

            async def sleep() -> None:
                try:
                    await client.call_tool("shell__run", {"command": "echo begun; sleep 300"}, progress_callback=note)
                except MCPError as error:
                    errors.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(sleep)
                await began.wait()
                await engine.stop()
            assert errors[0].code == SANDBOX_FAILED
            assert "engine" in str(errors[0]).lower()

            async with httpx2.AsyncClient() as http:
                assert (await http.get(running.url.replace("/mcp", "/health"))).status_code == 200
            assert (await client.list_tools()).tools
            with pytest.raises(MCPError) as refused:
                await client.call_tool("shell__run", {"command": "true"})
            assert refused.value.code == SANDBOX_FAILED
            assert "doctor" in str(refused.value) or "Start" in str(refused.value)

            await engine.start()
            again = await client.call_tool("shell__run", {"command": "echo back"})
            assert again.structured_content["stdout"] == "back\n"
        assert running.json("journal", "verify")["ok"] is True
