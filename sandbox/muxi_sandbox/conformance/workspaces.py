"""Checks of the task's workspace."""

# ruff: noqa: D103  # the name of a check is its documentation

from __future__ import annotations

from muxi_sandbox.conformance.scene import Scene, ask, check, expect
from muxi_sandbox.contract import WorkspaceAccess


@check
async def without_access_there_is_no_workspace(scene: Scene) -> None:
    async with scene.writer() as writer, scene.lease(server="blind") as lease:
        await ask(writer, "write", name="a", text="data")
        # An image may have a folder of that name; what counts is that it is not the task's, and takes nothing.
        seen = await ask(lease.sandbox, "names")
        expect(seen == [] or "error" in seen, "the task's files are seen")
        expect("error" in await ask(lease.sandbox, "write", name="b", text="no"), "something could be written")
        expect(await ask(writer, "names") == ["a"], "the task's workspace was changed")
        expect(not lease.workspace_is_new, "a workspace was made that nobody asked for")


@check
async def a_writer_writes_and_reads(scene: Scene) -> None:
    async with scene.writer() as sandbox:
        expect(await ask(sandbox, "names") == [], "the workspace is not empty")
        expect(await ask(sandbox, "write", name="a", text="data") == "written", "could not write")
        expect(await ask(sandbox, "read", name="a") == "data", "read something else")


@check
async def a_reader_cannot_write(scene: Scene) -> None:
    async with scene.writer() as writer, scene.guest(server="reader", workspace=WorkspaceAccess.READ) as reader:
        await ask(writer, "write", name="a", text="data")
        expect(await ask(reader, "read", name="a") == "data", "the reader does not see the file")
        expect(await ask(reader, "write", name="a", text="no") == {"error": "EROFS"}, "the reader could write")
        expect(await ask(writer, "read", name="a") == "data", "the file was changed")


@check
async def sandboxes_of_one_task_share_it(scene: Scene) -> None:
    async with scene.lease(workspace="write") as one, scene.lease(workspace="write", server="other") as other:
        expect(one.workspace_is_new, "the first lease does not say that it made the workspace")
        expect(not other.workspace_is_new, "the second lease says that it made the workspace")
        await ask(one.sandbox, "write", name="a", text="ours")
        expect(await ask(other.sandbox, "read", name="a") == "ours", "it is not shared")


@check
async def tasks_do_not_share_it(scene: Scene) -> None:
    async with scene.writer() as one, scene.writer(task="beta") as other:
        await ask(one, "write", name="a", text="mine")
        expect(await ask(other, "names") == [], "another task's file is seen")


@check
async def installations_do_not_share_it(scene: Scene) -> None:
    spec = scene.spec(workspace="write")
    async with (
        scene.another_host(f"{scene.installation}-x") as stranger,
        scene.writer() as one,
        stranger.lease(spec) as other,
    ):
        await ask(one, "write", name="a", text="mine")
        expect(await ask(other.sandbox, "names") == [], "another installation's file is seen")


@check
async def it_outlives_one_of_its_sandboxes(scene: Scene) -> None:
    async with scene.writer() as one:
        async with scene.writer(server="other") as other:
            await ask(other, "write", name="a", text="kept")
        expect(await ask(one, "read", name="a") == "kept", "the file went with its writer")
        async with scene.lease(workspace="write", server="third") as third:
            expect(not third.workspace_is_new, "a lease says that it made what was there")
            expect(await ask(third.sandbox, "read", name="a") == "kept", "the file was lost")


@check
async def a_lost_workspace_is_told(scene: Scene) -> None:
    async with scene.writer() as sandbox:
        await ask(sandbox, "write", name="a", text="")
    async with scene.lease(workspace="write") as again:
        is_empty = await ask(again.sandbox, "names") == []
        expect(again.workspace_is_new == is_empty, f"new: {again.workspace_is_new}, empty: {is_empty}")


@check
async def it_is_gone_when_the_task_ends(scene: Scene) -> None:
    async with scene.writer() as sandbox:
        await ask(sandbox, "write", name="a", text="")
    await scene.backend.end_task("alpha")
    async with scene.lease(workspace="write") as again:
        expect(again.workspace_is_new, "the workspace is said to be an old one")
        expect(await ask(again.sandbox, "names") == [], "the files are still there")


@check
async def ending_a_task_that_is_not_there_is_no_error(scene: Scene) -> None:
    await scene.backend.end_task("never-was")
    async with scene.guest() as sandbox:
        await ask(sandbox, "echo", text="")
    await scene.backend.end_task("alpha")
    await scene.backend.end_task("alpha")


@check
async def a_full_workspace_is_the_program_s_problem(scene: Scene) -> None:
    async with scene.writer(workspace_mib=4) as sandbox:
        expect(await ask(sandbox, "fill", mib=8) == {"error": "ENOSPC"}, "8 MiB fit into 4")
        expect(await ask(sandbox, "echo", text="on") == "on", "the program did not go on")


@check
async def files_are_counted(scene: Scene) -> None:
    async with scene.writer(workspace_inodes=64) as sandbox:
        expect(await ask(sandbox, "many", count=100) == {"error": "ENOSPC"}, "100 files fit into 64")
        expect(await ask(sandbox, "echo", text="on") == "on", "the program did not go on")
