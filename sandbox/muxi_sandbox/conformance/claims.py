"""Checks of sandboxes that are made before their task."""

# ruff: noqa: D103  # the name of a check is its documentation

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_sandbox.conformance.scene import Scene, ask, check, expect, raises
from muxi_sandbox.contract import WorkspaceAccess
from muxi_sandbox.errors import SandboxClosedError, SandboxDiedError, SpecRefusedError

if TYPE_CHECKING:
    from muxi_sandbox.contract import Lease, Prepared

WRITE, READ = WorkspaceAccess.WRITE, WorkspaceAccess.READ


def can_wait(scene: Scene) -> bool:
    """Whether this host can give a running sandbox its workspace; if not, it has to say so and refuse."""
    return scene.backend.can_prepare(scene.spec(workspace=WRITE))


@check
async def who_cannot_prepare_refuses(scene: Scene) -> None:
    if can_wait(scene):
        return
    with raises(SpecRefusedError):
        async with scene.backend.prepare(scene.spec(workspace=WRITE)):
            pass
    async with scene.guest(workspace=WRITE) as sandbox:
        expect(await ask(sandbox, "write", name="a", text="x") == "written", "nor does a lease work")


@check
async def a_prepared_sandbox_answers_before_its_claim(scene: Scene) -> None:
    async with scene.backend.prepare(scene.spec()) as prepared:
        expect(prepared.sandbox.spec.task is None, "it is somebody's already")
        expect(await ask(prepared.sandbox, "echo", text="hello") == "hello", "it does not answer")
        lease = await prepared.claim("alpha")
        expect(lease.sandbox.spec.task == "alpha", "it is not the task's")
        expect(await ask(lease.sandbox, "echo", text="on") == "on", "it does not answer after the claim")


@check
async def it_is_claimed_once(scene: Scene) -> None:
    async with scene.backend.prepare(scene.spec()) as prepared:
        await prepared.claim("alpha")
        for task in ("alpha", "beta"):
            try:
                await prepared.claim(task)
            except ValueError:
                continue
            expect(condition=False, otherwise="a sandbox was claimed twice")
        expect(prepared.sandbox.spec.task == "alpha", "it changed hands")


@check
async def before_the_claim_there_is_nothing_to_see_or_write(scene: Scene) -> None:
    if not can_wait(scene):
        return
    async with scene.writer() as writer, scene.backend.prepare(scene.spec(workspace=WRITE)) as prepared:
        await ask(writer, "write", name="a", text="data")
        seen = await ask(prepared.sandbox, "names")
        expect(seen == [] or "error" in seen, "it sees a task's files")
        expect("error" in await ask(prepared.sandbox, "write", name="b", text="no"), "it could write somewhere")


@check
async def the_workspace_appears_at_the_claim(scene: Scene) -> None:
    if not can_wait(scene):
        return
    async with scene.writer() as writer, scene.backend.prepare(scene.spec(workspace=WRITE)) as prepared:
        await ask(writer, "write", name="a", text="data")
        lease = await prepared.claim("alpha")
        expect(not lease.workspace_is_new, "it says that it made what was there")
        expect(await ask(lease.sandbox, "read", name="a") == "data", "the file is not there")
        expect(await ask(lease.sandbox, "write", name="b", text="back") == "written", "it cannot write")
        expect(await ask(writer, "read", name="b") == "back", "it is not shared")


@check
async def a_claim_makes_the_workspace_with_its_limits(scene: Scene) -> None:
    if not can_wait(scene):
        return
    spec = scene.spec(workspace=WRITE, workspace_mib=4)
    async with scene.backend.prepare(spec) as prepared:
        lease = await prepared.claim("alpha")
        expect(lease.workspace_is_new, "it does not say that it made the workspace")
        expect(await ask(lease.sandbox, "fill", mib=8) == {"error": "ENOSPC"}, "8 MiB fit into 4")


@check
async def a_claimed_reader_cannot_write(scene: Scene) -> None:
    if not can_wait(scene):
        return
    async with scene.writer() as writer, scene.backend.prepare(scene.spec(workspace=READ)) as prepared:
        await ask(writer, "write", name="a", text="data")
        lease = await prepared.claim("alpha")
        expect(await ask(lease.sandbox, "read", name="a") == "data", "the reader does not see the file")
        expect(await ask(lease.sandbox, "write", name="a", text="no") == {"error": "EROFS"}, "the reader could write")


@check
async def two_claims_are_two_workspaces(scene: Scene) -> None:
    if not can_wait(scene):
        return
    spec = scene.spec(workspace=WRITE)
    async with scene.backend.prepare(spec) as first, scene.backend.prepare(spec) as second:
        one, other = await first.claim("alpha"), await second.claim("beta")
        await ask(one.sandbox, "write", name="a", text="mine")
        expect(await ask(other.sandbox, "names") == [], "another task's file is seen")


@check
async def a_workspace_outlives_all_its_sandboxes_where_claims_are_possible(scene: Scene) -> None:
    if not can_wait(scene):
        return
    async with scene.writer() as sandbox:
        await ask(sandbox, "write", name="a", text="kept")
    async with scene.backend.prepare(scene.spec(workspace=WRITE)) as prepared:
        lease = await prepared.claim("alpha")
        expect(not lease.workspace_is_new, "it says that it made what was there")
        expect(await ask(lease.sandbox, "read", name="a") == "kept", "the file is lost")


@check
async def one_that_died_cannot_be_claimed(scene: Scene) -> None:
    async with scene.backend.prepare(scene.spec()) as prepared:
        await prepared.sandbox.send(b'{"do": "exit", "code": 3, "words": ""}')
        with raises(SandboxDiedError):
            await prepared.sandbox.receive()
        with raises(SandboxDiedError):
            await prepared.claim("alpha")


@check
async def leaving_ends_it_claimed_or_not(scene: Scene) -> None:
    left: list[Prepared | Lease] = []
    async with scene.backend.prepare(scene.spec()) as prepared:
        left.append(prepared)
    async with scene.backend.prepare(scene.spec()) as prepared:
        left.append(await prepared.claim("alpha"))
    for one in left:
        with raises(SandboxClosedError):
            await one.sandbox.send(b'{"do": "echo", "text": ""}')
    expect(await scene.backend.reap() == 0, "something was left over")


@check
async def a_paused_sandbox_goes_on_when_it_is_resumed(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await sandbox.pause()
        await sandbox.pause()
        await sandbox.resume()
        await sandbox.resume()
        expect(await ask(sandbox, "echo", text="on") == "on", "it does not answer after the pause")


@check
async def a_paused_sandbox_can_be_ended(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await sandbox.pause()
    expect(await scene.backend.reap() == 0, "a paused sandbox was left over")
