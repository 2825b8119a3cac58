"""Checks of how things end: each failure is told apart from the others, and said again at each later call."""

# ruff: noqa: D103  # the name of a check is its documentation

from __future__ import annotations

import anyio

from muxi_sandbox.conformance.scene import Scene, ask, check, expect, raises
from muxi_sandbox.contract import Sandbox
from muxi_sandbox.errors import (
    ImageMissingError,
    LeaseExpiredError,
    SandboxClosedError,
    SandboxDiedError,
    SpecRefusedError,
    StartFailedError,
)

MIB = 2**20


@check
async def a_program_that_exits_says_how(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await sandbox.send(b'{"do": "exit", "code": 3, "words": "going down"}')
        with raises(SandboxDiedError) as died:
            await sandbox.receive()
        expect(died.error.exit_code == 3, f"exit code {died.error.exit_code}")  # noqa: PLR2004  # asked for above
        expect(died.error.stderr == "going down", f"standard error {died.error.stderr!r}")
        expect(not died.error.out_of_memory, "it did not run out of memory")
        expect(died.error.sandbox == sandbox.id, "the error does not name its sandbox")
        expect("going down" in str(died.error), "the message does not say what the program said")


@check
async def a_death_is_said_again_at_each_call(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await sandbox.send(b'{"do": "exit", "code": 1, "words": ""}')
        for _ in range(3):
            with raises(SandboxDiedError):
                await sandbox.receive()
        for _ in range(3):
            with raises(SandboxDiedError):
                await sandbox.send(b"{}")


@check
async def frames_before_the_death_are_given_out(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await sandbox.send(b'{"do": "echo", "text": "first"}')
        await sandbox.send(b'{"do": "exit", "code": 0, "words": ""}')
        expect(await sandbox.receive() == b'"first"', "the frame was lost")
        with raises(SandboxDiedError) as died:
            await sandbox.receive()
        expect(died.error.exit_code == 0, f"exit code {died.error.exit_code}")


@check
async def a_death_wakes_a_waiting_send(scene: Scene) -> None:
    async with scene.guest(lease_seconds=2) as sandbox:
        await sandbox.send(b'{"do": "sleep"}')
        with raises(LeaseExpiredError):
            while True:
                await sandbox.send(b"x" * MIB)


@check
async def running_out_of_memory_is_noticed(scene: Scene) -> None:
    async with scene.guest(memory_mib=64) as sandbox:
        await sandbox.send(b'{"do": "allocate"}')
        with raises(SandboxDiedError) as died:
            await sandbox.receive()
        expect(died.error.out_of_memory, f"not said: {died.error}")


@check
async def a_missing_image_is_said_so(scene: Scene) -> None:
    with raises(ImageMissingError):
        async with scene.guest(image="muxi-no-such-image:0"):
            pass


@check
async def a_command_that_does_not_exist_fails_to_start(scene: Scene) -> None:
    # At the latest when the first frame is waited for: an init can tell no sooner.
    with raises(StartFailedError):
        async with scene.guest(command=("/no/such/command",)) as sandbox:
            await sandbox.receive()


@check
async def an_unknown_seccomp_profile_is_refused(scene: Scene) -> None:
    with raises(SpecRefusedError):
        async with scene.guest(seccomp="no-such-profile"):
            pass


@check
async def an_unknown_runtime_is_refused(scene: Scene) -> None:
    with raises(SpecRefusedError):
        async with scene.guest(runtime="no-such-runtime"):
            pass


@check
async def use_after_the_lease_is_an_error(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await ask(sandbox, "echo", text="")
    with raises(SandboxClosedError):
        await sandbox.receive()
    with raises(SandboxClosedError):
        await sandbox.send(b"{}")


@check
async def the_end_of_the_lease_wakes_who_waits(scene: Scene) -> None:
    woken = anyio.Event()

    async def wait(sandbox: Sandbox) -> None:
        with raises(SandboxClosedError):
            await sandbox.receive()
        woken.set()

    async with anyio.create_task_group() as group:
        async with scene.guest() as sandbox:
            group.start_soon(wait, sandbox)
            await ask_quietly(sandbox)
        await woken.wait()


async def ask_quietly(sandbox: Sandbox) -> None:
    """Something that gets no answer, so that a reader goes on waiting."""
    await sandbox.send(b'{"do": "sleep"}')


@check
async def a_lease_expires(scene: Scene) -> None:
    async with scene.guest(lease_seconds=1) as sandbox:
        for _ in range(2):
            with raises(LeaseExpiredError):
                await sandbox.receive()
        with raises(LeaseExpiredError):
            await sandbox.send(b"{}")


@check
async def a_program_that_refuses_to_die_is_removed(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await ask(sandbox, "linger")
