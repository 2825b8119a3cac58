"""The host is killed with SIGKILL while sandboxes exist: nothing is left over, nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from docker import APIClient
from running import Running, running_runtime

pytestmark = pytest.mark.timeout(300)

TASKS = 10


@pytest.fixture
def runtime(tmp_path: Path, python_image: str) -> Iterator[Running]:
    del python_image
    with running_runtime(tmp_path / "home") as running:
        yield running


@pytest.fixture
def engine(engine_socket: Path) -> Iterator[APIClient]:
    with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
        yield client


def containers(engine: APIClient, running: Running) -> list[str]:
    label = f"muxi.installation={running.installation}"
    return [c["Id"] for c in engine.containers(all=True, filters={"label": label})]


def volumes(engine: APIClient, running: Running) -> list[str]:
    label = f"muxi.installation={running.installation}"
    return [v["Name"] for v in engine.volumes(filters={"label": label})["Volumes"] or []]


async def open_tasks(running: Running, count: int) -> None:
    async with running.client() as client:
        for number in range(count):
            task = (await client.call_tool("muxi__task_new", {})).structured_content["task"]
            await client.call_tool("files__write", {"path": "n.txt", "content": str(number)}, meta={"muxi/task": task})


async def test_ten_sandboxes_of_a_killed_host_are_gone_after_the_next_up(runtime: Running, engine: APIClient):
    await open_tasks(runtime, TASKS)
    before = set(containers(engine, runtime))
    assert len(before) >= TASKS  # and what is held ready
    workspaces = Path("/run/muxi-runtime") / runtime.installation / "tasks"
    assert len(list(workspaces.iterdir())) == TASKS
    slots = {slot.name for slot in workspaces.with_name("slots").iterdir()}
    assert len(slots) >= TASKS
    os.kill(runtime.pid, signal.SIGKILL)

    await anyio.to_thread.run_sync(runtime.up)
    assert before & set(containers(engine, runtime)) == set()
    assert volumes(engine, runtime) == []
    assert list(workspaces.iterdir()) == []
    assert {slot.name for slot in workspaces.with_name("slots").iterdir()} & slots == set()
    kinds = [event["kind"] for event in lines(runtime, "journal", "search", "--kind", "sandbox.reaped")]
    assert kinds == ["sandbox.reaped"]

    assert runtime.json("journal", "verify")["ok"] is True
    finished = lines(runtime, "journal", "search", "--kind", "call.finished", "--limit", "1000")
    assert len([event for event in finished if event["data"]["tool"] == "write"]) == TASKS


async def test_a_changed_line_of_the_journal_is_found(runtime: Running):
    await open_tasks(runtime, 1)
    runtime.run("down")
    database = sqlite3.connect(runtime.home / "runtime.db")
    with database:
        changed = database.execute(
            "UPDATE journal SET data = replace(data, 'write', 'wrote') WHERE kind = 'call.finished'"
        ).rowcount
    database.close()
    assert changed >= 1
    outcome = runtime.run("journal", "verify", "--json", check=False)
    assert outcome.returncode == 1
    assert '"ok": false' in outcome.stdout


def lines(running: Running, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in running.run(*arguments, "--json").stdout.splitlines()]
