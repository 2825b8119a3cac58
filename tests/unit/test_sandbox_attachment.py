"""Reading an attach stream: what comes is given out in order, and no more is read ahead than one piece."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muxi_sandbox.docker.attach import READ_BYTES, Attachment, Output

LOT = 64 * 2**20
ROUNDS = 20


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)
        yield ours, theirs


def piece(data: bytes, output: int = 1) -> bytes:
    return bytes([output, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def send_all_that_goes(end: socket.socket) -> int:
    sent = 0
    while True:
        try:
            sent += end.send(bytes(READ_BYTES))
        except BlockingIOError:
            return sent


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.binary(min_size=1, max_size=3 * READ_BYTES), max_size=4), first=st.binary(max_size=9))
def test_what_is_sent_comes_whole_and_in_order(parts: list[bytes], first: bytes) -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(0)
            attachment = Attachment(ours, piece(first) if first else b"")
            come = bytearray()
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.to_thread.run_sync, lambda: send_and_end(theirs, parts))
                    async for output, data in attachment.pieces():
                        assert output is Output.STDOUT
                        come += data
            attachment.close()
            assert bytes(come) == first + b"".join(parts)

    anyio.run(talk)


def send_and_end(end: socket.socket, parts: list[bytes]) -> None:
    for part in parts:
        end.sendall(piece(part))
    end.shutdown(socket.SHUT_WR)


async def test_what_nobody_reads_stays_with_the_sender(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    attachment = Attachment(ours, b"")
    pieces = attachment.pieces()
    theirs.send(piece(b"x" * LOT)[:9])
    with anyio.fail_after(10):
        assert await anext(pieces) == (Output.STDOUT, b"x")
        full = sent = send_all_that_goes(theirs)
        for _ in range(ROUNDS):
            await anyio.wait_all_tasks_blocked()
            sent += send_all_that_goes(theirs)
        assert sent - full <= 2 * READ_BYTES
        come = 0
        while come < sent:
            come += len((await anext(pieces))[1])
    assert come == sent
    await pieces.aclose()
    attachment.close()


async def test_who_is_cancelled_while_waiting_loses_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    attachment = Attachment(ours, b"")
    with anyio.move_on_after(0):
        await anext(attachment.pieces())
    theirs.send(piece(b"late"))
    with anyio.fail_after(10):
        assert await anext(attachment.pieces()) == (Output.STDOUT, b"late")
    attachment.close()
