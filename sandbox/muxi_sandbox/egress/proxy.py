"""The egress proxy: one Unix socket for each sandbox, and what all of them share."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.egress.addresses import SystemResolver
from muxi_sandbox.egress.admission import Admission, Places, Tally
from muxi_sandbox.egress.connection import Connection
from muxi_sandbox.egress.dialling import Dialler
from muxi_sandbox.egress.names import parse_rule
from muxi_sandbox.egress.refusal import RefusedConnectionError, answer
from muxi_sandbox.egress.relay import Budget, Meter, send_last
from muxi_sandbox.errors import SandboxError, SpecRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import TaskGroup

    from muxi_sandbox.egress.addresses import Resolver
    from muxi_sandbox.egress.contract import Gatekeeper, Peer
    from muxi_sandbox.egress.reading import Secrets
    from muxi_sandbox.egress.settings import EgressSettings

__all__ = ["EgressProxy"]

log = logging.getLogger(__name__)

BACKLOG = 128
ANYBODY = 0o666
"""The folder of the socket is what keeps others out: only root and the one container reach it."""
SEND_BUFFER_BYTES = 2**20
"""So that whole buffers are written at once; the kernel gives what it allows."""
PAUSE_SECONDS = 0.1
"""Before the next try, where the host has no descriptor left for a connection."""


class EgressProxy:
    """See `contract.Egress`."""

    def __init__(
        self,
        settings: EgressSettings,
        gatekeeper: Gatekeeper,
        *,
        resolver: Resolver | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        """Without `secrets`, servers that have some are refused."""
        self._secrets = secrets
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._dialler = Dialler(settings, resolver or SystemResolver())
        self._everyone = Places("all_connections", settings.all_connections)

    @asynccontextmanager
    async def serve(self, socket: Path, peer: Peer) -> AsyncIterator[None]:
        """See `contract.Egress.serve`. Leaving ends every connection."""
        served = _Served(self._settings, self._gatekeeper, self._dialler, self._everyone, peer, self._secrets)
        listener = _listen(socket)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(served.accept, listener, group)
                try:
                    yield
                finally:
                    # Before the connections: who is cut off finds nobody when it comes again.
                    socket.unlink(missing_ok=True)  # noqa: ASYNC240  # in memory
                    group.cancel_scope.cancel()
        finally:
            listener.close()

    def certificate(self) -> bytes:
        """See `contract.Egress.certificate`."""
        if self._secrets is None:
            raise SpecRefusedError("A server has secrets, and no vault is open here.")
        return self._secrets.authority.certificate()


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind(str(path))
        os.chmod(path, ANYBODY)  # noqa: PTH101  # nosec B103  # see ANYBODY
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SandboxError(f"The egress proxy cannot listen on {path}: {error.strerror or error}.") from error
    return listener


class _Served:
    """One sandbox's connections."""

    def __init__(
        self,
        settings: EgressSettings,
        gatekeeper: Gatekeeper,
        dialler: Dialler,
        everyone: Places,
        peer: Peer,
        secrets: Secrets | None,
    ) -> None:
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._dialler = dialler
        self._peer = peer
        self._secrets = secrets
        self._rules = tuple(parse_rule(text) for text in peer.allow)
        self._admission = Admission(settings, everyone)
        self._tally = Tally(settings.told_refusals_per_minute)
        self._budget = Budget("sandbox_mib", settings.sandbox_mib)

    async def accept(self, listener: socket.socket, group: TaskGroup) -> None:
        """Take connections until cancelled."""
        while True:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                await anyio.wait_readable(listener)
                continue
            except OSError as error:
                log.warning("a connection of sandbox %s cannot be taken: %s", self._peer.sandbox[:12], error)
                await anyio.sleep(PAUSE_SECONDS)
                continue
            client.setblocking(False)  # noqa: FBT003  # the standard library's
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            group.start_soon(self._one, client)

    async def _one(self, client: socket.socket) -> None:
        with client:
            try:
                with self._admission.one(), anyio.move_on_after(self._settings.connection_seconds):
                    await self._connection(client).run()
            except RefusedConnectionError as refusal:
                await self._turn_away(client, refusal)
            except Exception:  # the boundary between one connection and all others: closed, and the fault is logged
                log.exception("a connection of sandbox %s failed", self._peer.sandbox[:12])

    async def _turn_away(self, client: socket.socket, refusal: RefusedConnectionError) -> None:
        if self._tally.may_tell():
            log.info("sandbox %s: %s", self._peer.sandbox[:12], refusal)
        await send_last(client, answer(refusal))

    def _connection(self, client: socket.socket) -> Connection:
        budget = Budget("connection_mib", self._settings.connection_mib)
        return Connection(
            client=client,
            peer=self._peer,
            rules=self._rules,
            settings=self._settings,
            gatekeeper=self._gatekeeper,
            dialler=self._dialler,
            tally=self._tally,
            meter=Meter(budget, self._budget),
            secrets=self._secrets,
        )
