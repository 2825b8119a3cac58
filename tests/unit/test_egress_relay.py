"""Bytes out of a socket, in a loop that many sandboxes share."""

from __future__ import annotations

import socket

import anyio
import pytest
from anyio.lowlevel import checkpoint

from muxi_sandbox.egress.relay import receive

pytestmark = [pytest.mark.anyio, pytest.mark.promise("egress-is-bounded")]


async def test_a_source_that_is_always_ready_lets_others_have_their_turn() -> None:
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0)
        far.sendall(b"x" * 100)
        async with anyio.create_task_group() as group:
            group.start_soon(another)
            for _ in range(100):
                assert await receive(near, 1) == b"x"
            group.cancel_scope.cancel()
    assert turns >= 99


async def test_nothing_is_lost_by_one_who_stops_waiting() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0)
        far.sendall(b"word")
        with anyio.move_on_after(0):
            await receive(near, 10)
        assert await receive(near, 10) == b"word"
