"""Load on an MCP endpoint over HTTP: many connections, each with one call under way, from one process.

Requests are bytes that were made before; of an answer only its end is looked for, and that it is a result. So one core
makes some ten times what any of the gateways answers: see `CONSTANT` in `beside_gateways`, which shows it in each run.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Ask", "Connection", "Load", "connect", "full_load", "one_at_a_time", "paced_load"]

WAIT_SECONDS = 60
HEAD_END, CHUNKS_END = b"\r\n\r\n", b"0\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


class Ask(Protocol):
    """One call and its answer.

    Raises:
        RuntimeError: it gave no result.
    """

    async def __call__(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Load:
    """What a load came to: ms of each call, and calls per second."""

    taken: Sequence[float]
    rate: float


class Connection(asyncio.Protocol):
    """A kept connection, with one request under way at most."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio's: whole answers go to who waits."""
        self._received += data
        if self._answer is not None and not self._answer.done() and _is_whole(self._received):
            self._answer.set_result(bytes(self._received))
            self._received.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: nobody waits for ever."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the connection was closed before its answer was whole"))

    async def send(self, request: bytes) -> bytes:
        """The whole answer, its head included, to a whole request."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()


async def connect(host: str, port: int) -> Connection:
    """A connection of its own."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return connection


def _is_whole(received: bytearray) -> bool:
    end = received.find(HEAD_END)
    if end < 0:
        return False
    head = bytes(received[: end + 2])
    if found := LENGTH.search(head):
        return len(received) >= end + len(HEAD_END) + int(found.group(1))
    return not CHUNKED.search(head) or received.endswith(CHUNKS_END)


async def one_at_a_time(ask: Ask, calls: int) -> Load:
    """So many calls, one after the other."""
    taken: list[float] = []
    started = time.perf_counter()
    async with asyncio.timeout(WAIT_SECONDS):
        for _ in range(calls):
            await _timed(ask, taken)
    return Load(taken, calls / (time.perf_counter() - started))


async def full_load(asks: Sequence[Ask], seconds: float) -> Load:
    """Closed loop: each asks again as soon as it is answered, for so long."""
    taken: list[float] = []
    started = time.perf_counter()

    async def repeat(ask: Ask) -> None:
        while time.perf_counter() - started < seconds:
            await _timed(ask, taken)

    await _together([lambda ask=ask: repeat(ask) for ask in asks], seconds)
    return Load(taken, len(taken) / (time.perf_counter() - started))


async def paced_load(asks: Sequence[Ask], rate: float, seconds: float) -> Load:
    """Open loop: calls begin at `rate` per second whether those before are answered or not.

    A call that finds all connections taken waits for one, and its time counts from when it should have begun.
    """
    taken: list[float] = []
    due: asyncio.Queue[float | None] = asyncio.Queue()
    started = time.perf_counter()

    async def schedule() -> None:
        for number in range(int(rate * seconds)):
            moment = started + number / rate
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            due.put_nowait(moment)
        for _ in asks:
            due.put_nowait(None)

    async def take(ask: Ask) -> None:
        while (moment := await due.get()) is not None:
            await ask()
            taken.append((time.perf_counter() - moment) * 1000)

    await _together([schedule, *(lambda ask=ask: take(ask) for ask in asks)], seconds)
    return Load(taken, len(taken) / (time.perf_counter() - started))


async def _timed(ask: Ask, taken: list[float]) -> None:
    started = time.perf_counter()
    await ask()
    taken.append((time.perf_counter() - started) * 1000)


async def _together(works: Sequence[Callable[[], Awaitable[None]]], seconds: float) -> None:
    async with asyncio.timeout(seconds + WAIT_SECONDS), asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(_run(work))


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()
