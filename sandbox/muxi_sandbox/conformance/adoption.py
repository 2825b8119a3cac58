"""Checks of sandboxes that one host process leaves and the next takes over."""

# ruff: noqa: D103  # the name of a check is its documentation

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.conformance.scene import Scene, ask, check, expect, raises
from muxi_sandbox.errors import SandboxClosedError, SandboxDiedError, SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from muxi_sandbox.contract import Backend, KeptSandbox


async def left(scene: Scene, *, paused: bool = False) -> KeptSandbox:
    """One of task `alpha` that its host let go of, with a file in its workspace."""
    async with scene.writer() as sandbox:
        await ask(sandbox, "write", name="a", text="kept")
        (kept,) = scene.backend.sandboxes("alpha")
        if paused:
            await sandbox.pause()
        scene.backend.leave("alpha")
    with raises(SandboxClosedError):
        await sandbox.send(b"{}")
    return kept


@asynccontextmanager
async def next_host(scene: Scene, kept: KeptSandbox) -> AsyncIterator[Backend]:
    """The process after that one; the task ends with it."""
    async with scene.another_host() as host:
        host.spare("alpha", [kept])
        try:
            yield host
        finally:
            with anyio.CancelScope(shield=True):
                await host.end_task("alpha")


async def is_refused(host: Backend, kept: KeptSandbox) -> bool:
    try:
        async with host.adopt(kept):
            return False
    except SandboxError:
        return True


@check
async def what_was_left_goes_on_under_the_next_host(scene: Scene) -> None:
    kept = await left(scene)
    async with next_host(scene, kept) as host, host.adopt(kept) as lease:
        expect(lease.sandbox.id == kept.id, "it is another sandbox")
        expect(lease.sandbox.spec == kept.spec, "it is another spec")
        expect(not lease.workspace_is_new, "it says that its workspace is new")
        expect(await ask(lease.sandbox, "read", name="a") == "kept", "its file is lost")
        expect(host.sandboxes("alpha") == (kept,), "the next host does not say that it holds it")


@check
async def what_was_left_paused_is_resumed(scene: Scene) -> None:
    kept = await left(scene, paused=True)
    async with next_host(scene, kept) as host, host.adopt(kept) as lease:
        expect(await ask(lease.sandbox, "echo", text="on") == "on", "it does not answer")


@check
async def what_was_left_can_be_left_again(scene: Scene) -> None:
    kept = await left(scene)
    async with scene.another_host() as host:
        host.spare("alpha", [kept])
        async with host.adopt(kept):
            host.leave("alpha")
    async with next_host(scene, kept) as host, host.adopt(kept) as lease:
        expect(await ask(lease.sandbox, "read", name="a") == "kept", "its file is lost")


@check
async def the_reaper_leaves_what_is_spared(scene: Scene) -> None:
    kept = await left(scene)
    async with next_host(scene, kept) as host:
        expect(await host.reap() == 0, "what was spared is reaped")
        async with host.adopt(kept) as lease:
            expect(await ask(lease.sandbox, "read", name="a") == "kept", "its file is lost")


@check
async def the_reaper_takes_what_nobody_spares(scene: Scene) -> None:
    kept = await left(scene)
    async with scene.another_host() as host:
        expect(await host.reap() > 0, "what nobody wants is not reaped")
        expect(await is_refused(host, kept), "what was reaped is taken over")


@check
async def a_host_that_ends_early_leaves_what_it_spared(scene: Scene) -> None:
    kept = await left(scene)
    async with scene.another_host() as early:
        early.spare("alpha", [kept])
        await early.reap()
    async with next_host(scene, kept) as host, host.adopt(kept) as lease:
        expect(await ask(lease.sandbox, "read", name="a") == "kept", "its file is lost")


@check
async def the_end_of_a_task_takes_what_nobody_took_over(scene: Scene) -> None:
    kept = await left(scene)
    async with next_host(scene, kept):
        pass
    async with scene.another_host() as host:
        expect(await host.reap() == 0, "an ended task has a sandbox or a workspace")


@check
async def what_ended_meanwhile_is_not_taken_over(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await sandbox.send(b'{"do": "exit", "code": 3, "words": ""}')
        with raises(SandboxDiedError):
            await sandbox.receive()
        (kept,) = scene.backend.sandboxes("alpha")
        scene.backend.leave("alpha")
    async with next_host(scene, kept) as host:
        expect(await is_refused(host, kept), "one that ended is taken over")


@check
async def another_tasks_is_never_taken_over(scene: Scene) -> None:
    kept = await left(scene)
    async with next_host(scene, kept) as host:
        forged = replace(kept, spec=kept.spec.model_copy(update={"task": "beta"}))
        expect(await is_refused(host, forged), "another task's sandbox is given out")
        expect(await is_refused(host, kept), "one that was tampered with is still used")


@check
async def another_installations_is_never_taken_over(scene: Scene) -> None:
    kept = await left(scene)
    async with scene.another_host(f"{scene.installation}-2") as stranger:
        expect(await is_refused(stranger, kept), "another installation's sandbox is given out")
    async with next_host(scene, kept) as host, host.adopt(kept) as lease:
        expect(await ask(lease.sandbox, "echo", text="on") == "on", "a stranger could end it")
