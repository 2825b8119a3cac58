"""Checks of what goes in and what comes out."""

# ruff: noqa: D103  # the name of a check is its documentation

from __future__ import annotations

import json

import anyio

from muxi_sandbox.conformance.scene import Scene, ask, check, expect, raises
from muxi_sandbox.contract import Sandbox

MIB = 2**20
HOST_HOLDS = 8 * MIB
"""More than a host, its engine and the sockets between them may hold of what nobody reads."""


@check
async def a_frame_comes_back(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        for number in range(20):
            expect(await ask(sandbox, "echo", text=f"hello {number}") == f"hello {number}", "another answer came")


@check
async def large_frames_come_back_whole(scene: Scene) -> None:
    text = "0123456789abcdef" * (3 * MIB // 16)
    async with scene.guest() as sandbox:
        expect(await ask(sandbox, "echo", text=text) == text, "the frame was changed")


@check
async def a_frame_of_exactly_the_limit_passes(scene: Scene) -> None:
    async with scene.guest(frame_mib=1) as sandbox:
        await sandbox.send(json.dumps({"do": "big", "size": MIB}).encode())
        expect(len(await sandbox.receive()) == MIB, "the frame was cut")


@check
async def characters_may_be_split_between_reads(scene: Scene) -> None:
    text = "ünï © 漢字 🙂"
    async with scene.guest() as sandbox:
        expect(await ask(sandbox, "split", text=text) == text, "a character was torn")


@check
async def frames_are_offered_first_to_who_asked_for_it(scene: Scene) -> None:
    taken: list[bytes] = []

    def take(frame: bytes) -> bool:
        if b"mine" in frame:
            taken.append(frame)
        return b"mine" in frame

    async with scene.guest() as sandbox:
        sandbox.offer_first(take)
        for text in ("mine", "yours"):
            await sandbox.send(json.dumps({"do": "echo", "text": text}).encode())
        expect(b"yours" in await sandbox.receive(), "a frame that was not taken did not come")
        sandbox.offer_first(None)
        expect(await ask(sandbox, "echo", text="mine") == "mine", "a frame was offered to who asked no longer")
    expect(bool(taken) and b"mine" in taken[0], "no frame was offered")


@check
async def empty_lines_are_left_out(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        expect(await ask(sandbox, "blanks") == "between", "an empty line came as a frame")
        expect(await ask(sandbox, "echo", text="next") == "next", "an empty line came as a frame")


@check
async def a_line_feed_in_a_frame_is_refused(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        with raises(ValueError):
            await sandbox.send(b"one\ntwo")
        expect(await ask(sandbox, "echo", text="whole") == "whole", "part of the refused frame was sent")


@check
async def standard_error_is_no_frame(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        answer = await ask(sandbox, "complain", text='"not a frame"\n', size=0)
        expect(answer == "complained", f"standard error came as a frame: {answer!r}")
        await _until_tail_ends_with(sandbox, '"not a frame"\n')


@check
async def the_tail_of_standard_error_is_bounded(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await ask(sandbox, "complain", text="the end", size=MIB)
        tail = await _until_tail_ends_with(sandbox, "the end")
        expect(len(tail) == 64 * 2**10, f"{len(tail)} bytes are held")


@check
async def the_tail_of_standard_error_cannot_steer_a_terminal(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        await ask(sandbox, "complain", text="\x1b[2J\x07\u202eevil\u200b done", size=0)
        tail = await _until_tail_ends_with(sandbox, "done")
        expect(not set("\x1b\x07\u202e\u200b") & set(tail), f"control characters are left: {tail!r}")


async def _until_tail_ends_with(sandbox: Sandbox, text: str) -> str:
    """Standard error and output are two streams: neither waits for the other."""
    while not (tail := sandbox.stderr_tail()).endswith(text):  # noqa: ASYNC110  # a tail announces nothing
        await anyio.sleep(0.01)
    return tail


@check
async def who_does_not_read_stops_the_program(scene: Scene) -> None:
    async with scene.writer(output_mib=1024) as sandbox, scene.writer(server="observer") as observer:
        await sandbox.send(b'{"do": "pour"}')
        await ask(observer, "wait_for", name="stalled")
        poured = int(await ask(observer, "read", name="stalled"))
        expect(poured * 64 * 2**10 < HOST_HOLDS, f"{poured} frames of 64 KiB were taken from it")
        for number in range(poured + 1):
            frame = await sandbox.receive()
            expect(frame.startswith(b"%d " % number), f"frame {number} was lost")
        expect(await sandbox.receive() == b'"poured"', "the last frame was lost")


@check
async def a_cancelled_send_tears_no_frame(scene: Scene) -> None:
    async with scene.writer() as sandbox, scene.writer(server="observer") as observer:
        await sandbox.send(b'{"do": "wait_for", "name": "go"}')
        long = json.dumps({"do": "echo", "text": "x" * 8 * MIB}).encode()
        with anyio.move_on_after(0.3) as scope:
            await sandbox.send(long)
        expect(scope.cancelled_caught, "8 MiB were taken for a program that does not read")
        await ask(observer, "write", name="go", text="")
        expect(await sandbox.receive() == b'"there"', "another frame came")
        await sandbox.send(b'{"do": "echo", "text": "after"}')
        frame = await sandbox.receive()
        if len(frame) > MIB:
            frame = await sandbox.receive()
        expect(frame == b'"after"', f"the frame after the cancelled one was torn: {frame[:80]!r}")


@check
async def frames_of_one_moment_are_each_whole(scene: Scene) -> None:
    async with scene.writer() as sandbox, anyio.create_task_group() as group:
        others = [anyio.CancelScope() for _ in range(100)]

        async def send(number: int) -> None:
            await sandbox.send(json.dumps({"do": "echo", "text": f"{number} " + "x" * 2000}).encode())

        async def send_and_give_up(number: int) -> None:
            with others[number // 2]:
                await send(number)

        for number in range(0, 200, 2):
            group.start_soon(send, number)
            group.start_soon(send_and_give_up, number + 1)
        await anyio.lowlevel.cancel_shielded_checkpoint()
        for other in others:
            other.cancel()
        found: set[int] = set()
        while not found >= set(range(0, 200, 2)):
            text = json.loads(await sandbox.receive())
            number, _, rest = text.partition(" ")
            expect(rest == "x" * 2000, f"a frame was torn: {text[:80]!r}")
            expect(int(number) not in found, f"frame {number} was sent twice")
            found.add(int(number))


@check
async def a_cancelled_receive_loses_no_frame(scene: Scene) -> None:
    async with scene.guest() as sandbox:
        with anyio.move_on_after(0.05) as scope:
            await sandbox.receive()
        expect(scope.cancelled_caught, "a frame came that nobody asked for")
        expect(await ask(sandbox, "echo", text="still here") == "still here", "the frame was lost")
