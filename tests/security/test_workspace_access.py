"""The files of a task and its snapshots are its owner's: nobody else lists, takes, changes or removes them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
from gateway_harness import Gateway, open_gateway

from muxi_sandbox.workspaces.tar import BLOCK, end, header

pytestmark = pytest.mark.promise("workspace-files-are-the-owners")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(tmp_path / "home", require_key="always") as opened:
        yield opened


async def key_of(gateway: Gateway, user: str) -> str:
    return (await anyio.to_thread.run_sync(gateway.runtime.keys.create, user))[1]


def tar_of(name: str, content: bytes) -> bytes:
    return header(name, is_folder=False, size=len(content)) + content + bytes(-len(content) % BLOCK) + end()


async def task_with_a_file(gateway: Gateway, key: str) -> str:
    """A task with a workspace, and one file in it."""
    async with gateway.client(key=key) as client:
        await client.call_tool("demo__keep", {"text": "x"})
    async with gateway.http(key) as http:
        (task,) = (await http.get("/control/tasks")).json()["tasks"]
        put = await http.put(f"/control/tasks/{task['task']}/tar", content=tar_of("secret", b"of ada"))
    assert put.json()["files"] == 1, put.text
    return task["task"]


async def everything(http: httpx2.AsyncClient, task: str, snapshot: str) -> dict[str, httpx2.Response]:
    """Each way to a workspace and a snapshot, with its answer."""
    ways = [
        ("GET", f"tasks/{task}/files"),
        ("GET", f"tasks/{task}/tar"),
        ("PUT", f"tasks/{task}/tar?overwrite=true"),
        ("POST", f"tasks/{task}/snapshots"),
        ("POST", f"tasks/{task}/restore/{snapshot}"),
        ("GET", f"snapshots/{snapshot}/tar"),
        ("DELETE", f"snapshots/{snapshot}"),
    ]
    return {
        f"{method} {path}": await http.request(
            method, f"/control/{path}", content=tar_of("secret", b"evil") if method == "PUT" else None
        )
        for method, path in ways
    }


async def test_another_user_s_files_and_snapshots_are_as_if_they_did_not_exist(gateway: Gateway):
    ada, bob = await key_of(gateway, "ada"), await key_of(gateway, "bob")
    task = await task_with_a_file(gateway, ada)
    async with gateway.http(ada) as http:
        snapshot = (await http.post(f"/control/tasks/{task}/snapshots")).json()["id"]
    async with gateway.http(bob) as http:
        answers = await everything(http, task, snapshot)
        unknown = await everything(http, "t-none", "s-none")
        assert (await http.get("/control/snapshots")).json() == {"snapshots": []}
        assert (await http.get(f"/control/snapshots?task={task}")).json() == {"snapshots": []}
    for (way, answer), other in zip(answers.items(), unknown.values(), strict=True):
        assert answer.status_code in {400, 404}, way
        told = answer.text.replace(task, "t-none").replace(snapshot, "s-none")
        assert (answer.status_code, told) == (other.status_code, other.text), way
    async with gateway.http(ada) as http:
        assert b"of ada" in (await http.get(f"/control/tasks/{task}/tar")).content
        assert b"of ada" in (await http.get(f"/control/snapshots/{snapshot}/tar")).content


async def test_another_user_s_snapshot_cannot_be_restored_in_a_task_of_one_s_own(gateway: Gateway):
    ada, bob = await key_of(gateway, "ada"), await key_of(gateway, "bob")
    hers = await task_with_a_file(gateway, ada)
    async with gateway.http(ada) as http:
        snapshot = (await http.post(f"/control/tasks/{hers}/snapshots")).json()["id"]
    his = await task_with_a_file(gateway, bob)
    async with gateway.http(bob) as http:
        refused = await http.post(f"/control/tasks/{his}/restore/{snapshot}")
    assert refused.status_code == 400
    assert "You have no snapshot" in refused.json()["error_description"]


async def test_without_a_key_nothing_answers(gateway: Gateway):
    task = await task_with_a_file(gateway, await key_of(gateway, "ada"))
    async with gateway.http() as http:
        answers = await everything(http, task, "s-none")
    assert {answer.status_code for answer in answers.values()} == {401}


async def test_names_of_snapshots_and_tasks_lead_to_no_other_file(gateway: Gateway):
    key = await key_of(gateway, "ada")
    task = await task_with_a_file(gateway, key)
    async with gateway.http(key) as http:
        for name in ("..%2f..%2fmuxi", "%2e%2e", "s-none%00", "%2fetc%2fpasswd"):
            answers = [
                await http.get(f"/control/snapshots/{name}/tar"),
                await http.delete(f"/control/snapshots/{name}"),
                await http.post(f"/control/tasks/{task}/restore/{name}"),
            ]
            assert all(answer.status_code in {400, 404, 405} for answer in answers), name
        listed = await http.get("/control/snapshots", params={"task": "../.."})
        assert listed.status_code == 400
    assert [one.id for one in gateway.runtime.tasks.all()] == [task]


async def test_a_tar_of_any_length_is_read_in_pieces_and_refused_at_its_first_wrong_entry(gateway: Gateway):
    key = await key_of(gateway, "ada")
    task = await task_with_a_file(gateway, key)

    async def endless_but_wrong() -> AsyncIterator[bytes]:
        body = io.BytesIO(tar_of("../evil", b"x") + bytes(8 * 2**20))
        while piece := body.read(2**16):
            yield piece

    async with gateway.http(key) as http:
        answer = await http.put(f"/control/tasks/{task}/tar", content=endless_but_wrong())
        listed = (await http.get(f"/control/tasks/{task}/files")).json()["entries"]
    assert answer.status_code == 400
    assert "cannot be used" in answer.json()["error_description"]
    assert "secret" in [entry["path"] for entry in listed]
    assert not [entry for entry in listed if "evil" in entry["path"]]
