"""Frames that are sent at the same moment go out in one write, but for the first; none is lost, cut or sent twice."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from muxi_sandbox.contract import Spec
from muxi_sandbox.errors import SandboxClosedError
from muxi_sandbox.stream import StreamSandbox

CONTROLS: Any = object()


class Wire:
    """A standard input that takes so many bytes before it has to be `emptied`."""

    def __init__(self, room: int = 1000, *, broken: bool = False) -> None:
        self.room = room
        self.broken = broken
        self.taken: list[bytes] = []
        self._unsent = b""
        self._emptied = anyio.Event()

    @property
    def lines(self) -> list[bytes]:
        return b"".join(self.taken).splitlines(keepends=True)

    def empty(self) -> None:
        self.room = 1000
        self._emptied.set()

    def _take(self, data: bytes) -> int:
        if self.broken:
            raise BrokenPipeError
        part, self.room = data[: self.room], max(0, self.room - len(data))
        if part:
            self.taken.append(part)
        return len(part)

    def write_now(self, data: bytes) -> int:
        if self._unsent:
            return 0
        sent = self._take(data)
        self._unsent = data[sent:] if sent else b""
        return sent

    async def write(self, data: bytes) -> None:
        self._unsent += data
        while self._unsent:
            self._unsent = self._unsent[self._take(self._unsent) :]
            if self._unsent:
                await self._emptied.wait()


def sandbox_on(wire: Wire) -> StreamSandbox:
    return StreamSandbox("1" * 12, Spec(server="s", image="i"), wire, CONTROLS)


async def test_frames_of_one_moment_are_one_write_but_for_the_first() -> None:
    wire = Wire()
    sandbox = sandbox_on(wire)
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(sandbox.send, b"%d" % number)
    assert wire.taken == [b"0\n", b"1\n2\n3\n4\n"]


@pytest.mark.parametrize("room", range(11))
async def test_what_has_no_room_goes_out_when_there_is_some(room: int) -> None:
    wire = Wire(room)
    sandbox = sandbox_on(wire)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(sandbox.send, b"%d" % number)
            await anyio.wait_all_tasks_blocked()
            wire.empty()
    assert sorted(wire.lines) == [b"%d\n" % number for number in range(5)]


async def test_who_is_cancelled_in_the_same_turn_takes_its_frame_back_and_no_other() -> None:
    wire = Wire()
    sandbox = sandbox_on(wire)
    scope = anyio.CancelScope()

    async def send_and_give_up() -> None:
        with scope:
            scope.cancel()
            await sandbox.send(b"given up")

    async with anyio.create_task_group() as group:
        group.start_soon(send_and_give_up)
        group.start_soon(sandbox.send, b"kept")
        group.start_soon(sandbox.send, b"too")
    assert wire.lines in ([b"kept\n", b"too\n"], [b"given up\n", b"kept\n", b"too\n"])


async def test_one_that_waits_for_room_and_is_cancelled_leaves_the_others_whole() -> None:
    wire = Wire(3)
    sandbox = sandbox_on(wire)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def send_and_give_up() -> None:
                with scope:
                    await sandbox.send(b"first")

            group.start_soon(send_and_give_up)
            group.start_soon(sandbox.send, b"second")
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            wire.empty()
    assert wire.lines == [b"first\n", b"second\n"]


async def test_nothing_is_written_after_the_lease_has_ended() -> None:
    wire = Wire()
    sandbox = sandbox_on(wire)
    refused: list[Exception] = []

    async def send() -> None:
        try:
            await sandbox.send(b"late")
        except SandboxClosedError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(sandbox.close)
        group.start_soon(send)
        group.start_soon(send)
    assert (wire.taken, len(refused)) == ([], 2)


async def test_each_sender_learns_why_the_program_is_gone() -> None:
    sandbox = sandbox_on(Wire(broken=True))
    refused: list[str] = []

    async def send() -> None:
        try:
            await sandbox.send(b"lost")
        except SandboxClosedError as error:
            refused.append(str(error))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(send)
            group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            sandbox.fail(SandboxClosedError("it ended", sandbox="1"))
    assert [text.partition(".")[0] for text in refused] == ["it ended", "it ended"]
