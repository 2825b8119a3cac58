"""Bytes from one socket to another, counted, as fast as one thread moves them.

The sockets do not block. What can be read or written at once is; only else does it wait. A socket that is slow to take
stops the reading of the other, so at most one buffer is held for each direction.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BUFFER_BYTES", "Budget", "Meter", "receive", "relay", "send", "send_last"]

BUFFER_BYTES = 256 * 2**10
MIB = 2**20
LINGER_SECONDS = 1
LINGER_READS = 64


class Budget:
    """Bytes that may still be moved. `name` is the setting's."""

    def __init__(self, name: str, mib: float) -> None:
        self._name = name
        self._mib = mib
        self._left = int(mib * MIB)

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            RefusedConnectionError: with the rule `limit`: that was too much.
        """
        self._left -= size
        if self._left < 0:
            raise RefusedConnectionError("limit", f"The limit egress.{self._name} of {self._mib:g} MiB is used up.")


class Meter:
    """What one connection moved, and when last."""

    def __init__(self, *budgets: Budget) -> None:
        self._budgets = budgets
        self.up = 0
        self.down = 0
        self.moved_at = anyio.current_time()

    def count_up(self, size: int) -> None:
        """Bytes from the sandbox. Raises RefusedConnectionError as `Budget.take`."""
        self.up += size
        self._count(size)

    def count_down(self, size: int) -> None:
        """Bytes to the sandbox. Raises RefusedConnectionError as `Budget.take`."""
        self.down += size
        self._count(size)

    def _count(self, size: int) -> None:
        self.moved_at = anyio.current_time()
        for budget in self._budgets:
            budget.take(size)


async def receive(source: socket.socket, size: int) -> bytes:
    """At most `size` bytes; empty at the end. Raises OSError."""
    await checkpoint()  # before anything is taken, which would be lost if it ended here: see `relay`
    while True:
        try:
            return source.recv(size)
        except BlockingIOError:
            await anyio.wait_readable(source)


async def send(target: socket.socket, data: bytes | bytearray | memoryview) -> None:
    """All of the data. Raises OSError."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[target.send(rest) :]
        except BlockingIOError:
            await anyio.wait_writable(target)


async def send_last(target: socket.socket, data: bytes) -> None:
    """All of the data, so that even who is still sending reads it. Takes `LINGER_SECONDS` at most; never raises."""
    with suppress(OSError), anyio.move_on_after(LINGER_SECONDS):
        await send(target, data)
        target.shutdown(socket.SHUT_WR)
        # Closing with something unread would take the answer back.
        for _ in range(LINGER_READS):
            if not await receive(target, BUFFER_BYTES):
                return


async def relay(source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
    """Until the source ends, then the target's direction ends too.

    Raises:
        OSError: a side broke.
        RefusedConnectionError: a limit of bytes.
    """
    buffer = bytearray(BUFFER_BYTES)
    view = memoryview(buffer)
    while True:
        try:
            size = source.recv_into(buffer)
        except BlockingIOError:
            await anyio.wait_readable(source)
            continue
        if not size:
            target.shutdown(socket.SHUT_WR)
            return
        count(size)
        await send(target, view[:size])
        await checkpoint()  # a source that is always ready must not hold up the others
