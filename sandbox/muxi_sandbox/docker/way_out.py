"""One sandbox's egress, in a task of the backend: whoever claims and whoever ends a sandbox may be two tasks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

if TYPE_CHECKING:
    from pathlib import Path

    from muxi_sandbox.egress.contract import Egress, Peer

__all__ = ["WayOut"]

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5


class WayOut:
    """Open from `run`'s start to `close`; if it breaks, it is closed."""

    def __init__(self, egress: Egress, socket: Path, peer: Peer) -> None:
        self._egress = egress
        self._socket = socket
        self._peer = peer
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Serve until closed. What goes wrong before it serves is raised to whoever starts it."""
        serves = False
        try:
            with self._scope:
                async with self._egress.serve(self._socket, self._peer):
                    serves = True
                    task_status.started()
                    await anyio.sleep_forever()
        except Exception:
            if not serves:
                raise
            # The boundary between one sandbox and the others: this one has no way out any more.
            log.exception("the way out of sandbox %s broke, and is closed", self._peer.sandbox[:12])
        finally:
            self._over.set()

    async def close(self) -> None:
        """End every connection and the socket. Bounded."""
        self._scope.cancel()
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._over.wait()
