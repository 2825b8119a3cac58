"""Checks of leases: they are apart from each other, and leave nothing, however they end."""

# ruff: noqa: D103  # the name of a check is its documentation

from __future__ import annotations

from functools import partial

import anyio

from muxi_sandbox.conformance.scene import Scene, ask, check, expect, raises
from muxi_sandbox.errors import SandboxDiedError

AT_ONCE = 4


class _OwnError(Exception):
    """What a caller's block may raise."""


async def _nothing_is_left(scene: Scene) -> None:
    async with scene.another_host() as fresh:
        left = await fresh.reap()
    expect(left == 0, f"{left} sandboxes or workspaces were left behind")


@check
async def nothing_is_left_after_a_lease(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await ask(sandbox, "echo", text="")
    await _nothing_is_left(scene)


@check
async def the_block_s_own_exception_comes_through(scene: Scene) -> None:
    with raises(_OwnError):
        async with scene.guest():
            raise _OwnError
    await _nothing_is_left(scene)


@check
async def the_backend_lets_the_block_s_exception_through(scene: Scene) -> None:
    with raises(_OwnError):
        async with scene.another_host() as host, host.lease(scene.spec()):
            raise _OwnError


@check
async def cancellation_while_leasing_leaves_nothing(scene: Scene) -> None:
    for milliseconds in (0, 5, 20, 50, 100, 200):
        with anyio.move_on_after(milliseconds / 1000):
            async with scene.guest():
                await anyio.sleep_forever()
    await _nothing_is_left(scene)


@check
async def cancellation_while_receiving_leaves_nothing(scene: Scene) -> None:
    async with anyio.create_task_group() as group, scene.guest() as outside:
        await ask(outside, "echo", text="")
        group.start_soon(partial(_receive_in_a_lease, scene, group.cancel_scope))
        await anyio.sleep_forever()
    await _nothing_is_left(scene)


async def _receive_in_a_lease(scene: Scene, everything: anyio.CancelScope) -> None:
    async with scene.guest(server="inner") as sandbox:
        await ask(sandbox, "echo", text="")
        everything.cancel()
        await sandbox.receive()


@check
async def cancellation_while_sending_leaves_nothing(scene: Scene) -> None:
    with anyio.move_on_after(1) as scope:
        async with scene.guest() as sandbox:
            await sandbox.send(b'{"do": "sleep"}')
            while True:
                await sandbox.send(b"x" * 2**20)
    expect(scope.cancelled_caught, "a program that does not read took everything")
    await _nothing_is_left(scene)


@check
async def leases_at_once_do_not_mix(scene: Scene) -> None:
    ids: set[str] = set()

    async def one(number: int) -> None:
        async with scene.guest(server=f"guest-{number}") as sandbox:
            ids.add(sandbox.id)
            for _ in range(5):
                expect(await ask(sandbox, "echo", text=str(number)) == str(number), "another's answer came")

    async with anyio.create_task_group() as group:
        for number in range(AT_ONCE):
            group.start_soon(one, number)
    expect(len(ids) == AT_ONCE, "a sandbox was given twice")


@check
async def a_sandbox_is_never_given_again(scene: Scene) -> None:
    ids: list[str] = []
    for _ in range(2):
        async with scene.guest() as sandbox:
            ids.append(sandbox.id)
    expect(ids[0] != ids[1], "the same sandbox came again")


@check
async def the_sandbox_knows_its_spec(scene: Scene) -> None:
    async with scene.guest(environment={"MUXI_GREETING": "hello = world"}) as sandbox:
        expect(sandbox.spec.task == "alpha", "the spec is another")
        expect(await ask(sandbox, "environment", name="MUXI_GREETING") == "hello = world", "the environment is lost")


@check
async def there_is_no_network(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        for host in ("192.0.2.1", "169.254.169.254", "172.17.0.1"):
            answer = await ask(sandbox, "connect", host=host, port=80)
            expect(answer == {"error": "ENETUNREACH"}, f"connecting to {host}: {answer}")


@check
async def leaving_the_backend_ends_its_leases(scene: Scene) -> None:
    async with scene.another_host() as host:
        lease = host.lease(scene.spec(workspace="write"))
        sandbox = (await lease.__aenter__()).sandbox
        await ask(sandbox, "echo", text="")
    await _nothing_is_left(scene)
    await lease.__aexit__(None, None, None)


@check
async def the_reaper_takes_what_another_process_left(scene: Scene) -> None:
    async with scene.another_host() as gone, gone.lease(scene.spec(workspace="write")) as lease:
        await ask(lease.sandbox, "echo", text="")
        reaped = await scene.backend.reap()
        expect(reaped == 2, f"{reaped} removed, not a sandbox and a workspace")  # noqa: PLR2004  # said right there
        with raises(SandboxDiedError):
            await lease.sandbox.receive()
        expect(await scene.backend.reap() == 0, "the second time it found something")


@check
async def the_reaper_leaves_own_leases_alone(scene: Scene) -> None:
    async with scene.writer() as sandbox:
        await ask(sandbox, "write", name="a", text="mine")
        expect(await scene.backend.reap() == 0, "a live lease was reaped")
        expect(await ask(sandbox, "read", name="a") == "mine", "the workspace was reaped")


@check
async def the_reaper_leaves_other_installations_alone(scene: Scene) -> None:
    spec = scene.spec(workspace="write")
    async with scene.another_host(f"{scene.installation}-x") as stranger, stranger.lease(spec) as lease:
        expect(await scene.backend.reap() == 0, "another installation's lease was reaped")
        expect(await ask(lease.sandbox, "write", name="a", text="mine") == "written", "its sandbox is gone")


@check
async def reaping_during_a_lease_s_start_is_safe(scene: Scene) -> None:
    async def lease_and_use(done: anyio.Event) -> None:
        async with scene.guest() as sandbox:
            expect(await ask(sandbox, "echo", text="up") == "up", "the new sandbox was reaped")
        done.set()

    done = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(lease_and_use, done)
        while not done.is_set():
            await scene.backend.reap()


@check
async def health_is_good(scene: Scene) -> None:
    health = await scene.backend.health()
    bad = [check.name for check in health.checks if not check.ok]
    expect(health.ok and health.summary and health.checks and not bad, f"{health.summary}: {bad}")
