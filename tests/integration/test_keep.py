"""Kept tasks and paused sandboxes, with a real runtime in a process of its own that is stopped and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from docker import APIClient
from engine_state import remove_all
from running import Running, running_runtime

SET = {"code": "kept = 41; open('file.txt', 'w').write('files')", "session": "s"}
GET = {"code": "print(kept + 1, open('file.txt').read())", "session": "s"}


@pytest.fixture
def runtime(tmp_path: Path, python_image: str) -> Iterator[Running]:
    del python_image
    with running_runtime(tmp_path / "home") as running:
        yield running
        # What is kept would outlive the test.
        for task in running.json("tasks", "list")["tasks"]:
            running.run("tasks", "end", task["task"])


async def call(running: Running, tool: str, arguments: dict[str, Any], task: str | None = None) -> Any:
    headers = {"Muxi-Task": task} if task else None
    async with running.client(headers=headers) as client:
        return await client.call_tool(tool, arguments)


async def kept_task(running: Running) -> str:
    task = str((await call(running, "muxi__task_new", {})).structured_content["task"])
    await call(running, "code__session_run", SET, task)
    running.json("tasks", "keep", task)
    return task


def remove_containers(running: Running) -> None:
    client = APIClient(base_url="unix:///var/run/docker.sock", version="1.41")
    remove_all(client, [f"muxi.installation={running.installation}"])
    client.close()


def unmount_workspace(running: Running, task: str) -> None:
    home = Path("/run/muxi-runtime") / running.installation / "tasks" / task
    for name in ("ro", "rw"):
        subprocess.run(["umount", home / name], check=True)


def text_of(result: Any) -> str:
    return " ".join(block.text for block in result.content if block.type == "text")


@pytest.mark.timeout(120)
async def test_a_kept_task_is_as_it_was_after_down_and_up(runtime: Running) -> None:
    task = await kept_task(runtime)
    (before,) = runtime.json("tasks", "list")["tasks"][0]["sandboxes"]
    runtime.run("down")
    runtime.up()
    result = await call(runtime, "code__session_run", GET, task)
    assert "42 files" in text_of(result)
    listed = next(entry for entry in runtime.json("tasks", "list")["tasks"] if entry["task"] == task)
    assert listed["kept"] is True
    assert [sandbox["id"] for sandbox in listed["sandboxes"]] == [before["id"]]


@pytest.mark.timeout(120)
async def test_a_kept_task_is_as_it_was_after_the_runtime_was_killed(runtime: Running) -> None:
    task = await kept_task(runtime)
    os.kill(runtime.pid, signal.SIGKILL)
    runtime.up()
    assert "42 files" in text_of(await call(runtime, "code__session_run", GET, task))


@pytest.mark.timeout(120)
async def test_where_the_sandbox_is_gone_the_files_are_there_and_the_caller_is_told(runtime: Running) -> None:
    task = await kept_task(runtime)
    runtime.run("down")
    remove_containers(runtime)
    runtime.up()
    result = await call(runtime, "code__run", {"language": "bash", "code": "cat file.txt"}, task)
    assert "files" in text_of(result)
    assert "is lost" in text_of(result)
    assert "is lost" in result.meta["muxi/note"]
    again = await call(runtime, "code__run", {"language": "bash", "code": "cat file.txt"}, task)
    assert "is lost" not in text_of(again)


@pytest.mark.timeout(120)
async def test_where_the_workspace_is_gone_too_the_files_are_those_of_the_stop(runtime: Running) -> None:
    task = await kept_task(runtime)
    runtime.run("down")
    remove_containers(runtime)
    # As after a start of the machine: what was in memory is not there any more.
    unmount_workspace(runtime, task)
    runtime.up()
    result = await call(runtime, "code__run", {"language": "bash", "code": "cat file.txt"}, task)
    assert "files" in text_of(result)
    assert "1 files are as they were at" in result.meta["muxi/note"]


@pytest.mark.timeout(120)
async def test_a_released_task_ends_with_the_runtime(runtime: Running) -> None:
    task = await kept_task(runtime)
    runtime.json("tasks", "release", task)
    runtime.run("down")
    runtime.up()
    assert task not in {entry["task"] for entry in runtime.json("tasks", "list")["tasks"]}


@pytest.mark.timeout(120)
async def test_an_idle_sandbox_is_paused_and_wakes_for_the_next_call(tmp_path: Path, python_image: str) -> None:
    del python_image
    with running_runtime(tmp_path / "home", pause_idle_seconds=0.5) as running:
        await call(running, "code__session_run", SET)
        with anyio.fail_after(30):
            # It happens in another process, which has no event for this one.
            while running.json("tasks", "list")["tasks"][0]["sandboxes"][0]["state"] != "paused":  # noqa: ASYNC110
                await anyio.sleep(0.1)
        assert "42 files" in text_of(await call(running, "code__session_run", GET))
        lines = running.run("journal", "search", "--limit", "50", "--json").stdout.splitlines()
        kinds = [json.loads(line)["kind"] for line in lines]
        assert {"sandbox.paused", "sandbox.resumed"} <= set(kinds)
