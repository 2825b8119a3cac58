"""Notices that the engine went away: an events stream that is always open ends exactly then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio

from muxi_sandbox.docker.attach import READ_BYTES, hijack
from muxi_sandbox.errors import EngineUnavailableError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["EngineWatch"]

log = logging.getLogger(__name__)

# Only events of the engine itself, which are rare: what counts is when the stream ends.
FILTERS = quote('{"type":["daemon"]}')
REQUEST = f"GET /events?filters={FILTERS} HTTP/1.1\r\nHost: engine\r\n\r\n"
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0


class EngineWatch:
    """Counts the engine's lives. `generation` rises when the stream to it breaks."""

    def __init__(self, path: Path, on_return: Callable[[], None]) -> None:
        self._path = path
        self._on_return = on_return
        self._watching = anyio.Event()
        self.generation = 0

    async def ready(self, seconds: float) -> None:
        """Wait until the engine is watched.

        Raises:
            EngineUnavailableError: it does not answer in time.
        """
        with anyio.move_on_after(seconds):
            await self._watching.wait()
            return
        raise EngineUnavailableError(
            f"No container engine answers at {self._path}. Start it, or set `engine.socket`; see `muxi-runtime doctor`."
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                connection, _ = await hijack(self._path, REQUEST, expect=200)
            except EngineUnavailableError:
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            with connection:
                await self._watch(connection)

    async def _watch(self, connection: socket.socket) -> None:
        self._watching.set()
        if self.generation:
            log.info("the container engine at %s is back", self._path)
            self._on_return()
        await _until_end(connection)
        self.generation += 1
        self._watching = anyio.Event()
        log.warning("the container engine at %s went away", self._path)


async def _until_end(connection: socket.socket) -> None:
    while True:
        await anyio.wait_readable(connection)
        try:
            if not connection.recv(READ_BYTES):
                return
        except BlockingIOError:
            continue
        except ConnectionError:
            return
