"""What processes that were killed left on the engine goes before anything new comes."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from muxi_runtime.errors import RefusedError
from muxi_runtime.installing.turn import taken_turn
from muxi_runtime.journal.contract import Draft, Journal
from muxi_sandbox.contract import Backend

__all__ = ["OpenBackend", "reap_left", "reap_left_by_installs"]

logger = logging.getLogger(__name__)


class OpenBackend(Backend, AbstractAsyncContextManager["Backend"], Protocol):
    """A backend that is entered before it is used, as all are."""


async def reap_left(backend: Backend, journal: Journal) -> None:
    """Remove what an earlier process of this installation left.

    Raises:
        SandboxError: the engine could not.
        JournalError: it could not be written down.
    """
    count = await backend.reap()
    if count:
        logger.warning("removed %d sandboxes and workspaces that an earlier process left behind", count)
        await journal.append(Draft("sandbox.reaped", data={"count": count}))


async def reap_left_by_installs(home: Path, backend: OpenBackend, journal: Journal) -> None:
    """The same for commands that install servers, whose `backend` this is. One that installs now is left alone.

    Raises:
        SandboxError | JournalError: as above.
        SetupError: the state folder cannot be written to.
    """
    try:
        async with taken_turn(home, wait_seconds=0), backend as entered:
            await reap_left(entered, journal)
    except RefusedError:
        logger.info("a command installs a server now: what it uses is not removed")
