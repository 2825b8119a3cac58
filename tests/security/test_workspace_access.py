"""The files of a task and its snapshots are its owner's: nobody else lists, takes, changes or removes them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
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

    async with gateway.http(key) as http:
        answer = await http.put(
            f"/control/tasks/{task}/tar", content=pieces(tar_of("../evil", b"x") + bytes(8 * 2**20))
        )
        listed = (await http.get(f"/control/tasks/{task}/files")).json()["entries"]
    assert answer.status_code == 400
    assert "cannot be used" in answer.json()["error_description"]
    assert "secret" in [entry["path"] for entry in listed]
    assert not [entry for entry in listed if "evil" in entry["path"]]


async def test_slow_readers_hold_few_tars_of_theirs_and_nobody_else_up(gateway: Gateway):
    ada, bob = await key_of(gateway, "ada"), await key_of(gateway, "bob")
    hers, his = await task_with_a_file(gateway, ada), await task_with_a_file(gateway, bob)
    async with gateway.http(ada) as http, gateway.http(bob) as other, AsyncExitStack() as unread:
        large = tar_of("large", secrets.token_bytes(32 * 2**20))
        async with gateway.http(ada) as sender:
            put = await sender.put(f"/control/tasks/{hers}/tar", content=pieces(large))
            assert put.status_code == 200, put.text
        for _ in range(4):
            answer = await unread.enter_async_context(http.stream("GET", f"/control/tasks/{hers}/tar"))
            assert answer.status_code == 200
        refused = await http.get(f"/control/tasks/{hers}/tar")
        assert (refused.status_code, "4 transfers" in refused.text) == (400, True)
        assert (await other.get(f"/control/tasks/{his}/tar")).status_code == 200
        await unread.aclose()
        with anyio.fail_after(20):
            while (await http.get(f"/control/tasks/{hers}/tar?path=secret")).status_code != 200:
                await anyio.lowlevel.checkpoint()


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """Without saying its length beforehand."""
    for start in range(0, len(data), 2**18):
        yield data[start : start + 2**18]
