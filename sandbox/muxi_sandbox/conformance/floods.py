"""Checks that a program cannot fill the host by talking."""

# ruff: noqa: D103  # the name of a check is its documentation

from __future__ import annotations

from muxi_sandbox.conformance.scene import Scene, ask, check, expect, raises
from muxi_sandbox.contract import Sandbox
from muxi_sandbox.errors import OutputFloodError

MIB = 2**20


async def _read_until_flood(sandbox: Sandbox, limit_mib: int) -> int:
    """Bytes of the frames that came before; the error is the same at each later call."""
    read = 0
    with raises(OutputFloodError) as flood:
        while True:
            read += len(await sandbox.receive())
    expect(flood.error.limit_bytes == limit_mib * MIB, f"limit_bytes is {flood.error.limit_bytes}")
    for _ in range(2):
        with raises(OutputFloodError):
            await sandbox.receive()
    with raises(OutputFloodError):
        await sandbox.send(b"{}")
    return read


@check
async def a_frame_over_the_limit_is_a_flood(scene: Scene) -> None:
    async with scene.guest(frame_mib=1) as sandbox:
        await sandbox.send(b'{"do": "big", "size": %d}' % (MIB + 1))
        expect(await _read_until_flood(sandbox, 1) == 0, "part of the frame was given out")


@check
async def endless_output_without_a_line_feed_is_a_flood(scene: Scene) -> None:
    async with scene.guest(frame_mib=2) as sandbox:
        await sandbox.send(b'{"do": "endless_line"}')
        expect(await _read_until_flood(sandbox, 2) == 0, "part of the line was given out")


@check
async def endless_frames_are_a_flood(scene: Scene) -> None:
    async with scene.guest(output_mib=4) as sandbox:
        await sandbox.send(b'{"do": "endless_frames"}')
        read = await _read_until_flood(sandbox, 4)
        expect(read <= 4 * MIB, f"{read} bytes were given out")


@check
async def endless_standard_error_is_a_flood(scene: Scene) -> None:
    async with scene.guest(output_mib=4) as sandbox:
        await sandbox.send(b'{"do": "endless_stderr"}')
        await _read_until_flood(sandbox, 4)
        expect(len(sandbox.stderr_tail()) == 64 * 2**10, "the tail is not bounded")


@check
async def output_is_counted_since_the_last_send(scene: Scene) -> None:
    async with scene.guest(output_mib=2) as sandbox:
        for _ in range(4):
            await sandbox.send(b'{"do": "big", "size": %d}' % MIB)
            expect(len(await sandbox.receive()) == MIB, "the frame was cut")


@check
async def a_flood_leaves_other_sandboxes_alone(scene: Scene) -> None:
    async with scene.guest(output_mib=1) as loud, scene.guest(server="quiet") as quiet:
        await loud.send(b'{"do": "endless_frames"}')
        await _read_until_flood(loud, 1)
        expect(await ask(quiet, "echo", text="fine") == "fine", "another sandbox suffered")
