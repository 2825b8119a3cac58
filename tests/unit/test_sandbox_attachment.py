"""Reading an attach stream: what comes is given out in order, and no more is read ahead than one piece."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muxi_sandbox.docker.attach import READ_BYTES, Attachment, Demultiplexer, Output, whole_outputs

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


@given(
    pieces=st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.binary(max_size=20)), max_size=4),
    cut=st.integers(0, 40),
)
def test_what_is_offered_whole_is_what_comes_in_pieces(pieces: list[tuple[int, bytes]], cut: int) -> None:
    data = b"".join(piece(part, output) for output, part in pieces)
    data = data[: len(data) - cut] if cut < 10 else data
    whole = whole_outputs(data)
    if whole is None:
        return
    demultiplexer = Demultiplexer()
    found = list(demultiplexer.feed(data))
    assert [(Output.STDOUT, part) for part in whole if part] == found
    assert demultiplexer.is_between_pieces


async def test_what_is_taken_first_is_not_given_out_and_the_rest_is_in_its_order(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    attachment = Attachment(ours, piece(b"first"))
    taken: list[bytes] = []
    more = anyio.Event()

    def take(outputs: list[bytes]) -> bool:
        if b"not this" in outputs:
            return False
        taken.extend(outputs)
        more.set()
        return True

    attachment.offer_first(take)
    pieces = attachment.pieces()
    with anyio.fail_after(10):
        assert await anext(pieces) == (Output.STDOUT, b"first")
        theirs.send(piece(b"one") + piece(b"two"))
        async with anyio.create_task_group() as group:

            async def read() -> None:
                assert await anext(pieces) == (Output.STDOUT, b"not this")

            group.start_soon(read)
            await more.wait()
            assert taken == [b"one", b"two"]
            theirs.send(piece(b"not this"))
        theirs.send(piece(b"cut")[:10])
        theirs.send(piece(b"cut")[10:] + piece(b"bad", 2))
        come = [await anext(pieces)]
        while come[-1] != (Output.STDERR, b"bad"):
            come.append(await anext(pieces))
    assert b"".join(part for output, part in come if output is Output.STDOUT) == b"cut"
    attachment.close()
