"""Where the proxy reads along: connections of a sandbox whose server has secrets, so that it can put their values in.

Plain requests are read as they are. In a tunnel TLS ends here, with a certificate of the installation's own authority
for the one name that the tunnel is for; to the host a new TLS connection is made, to the address that was checked, and
its certificate is verified before anything is said. What is no TLS passes through a tunnel unread but for placeholders.

Sandboxes of servers without secrets never come here: their tunnels stay end to end.
"""

from __future__ import annotations

import logging
import math
import ssl
import unicodedata
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from muxi_sandbox.egress.authority import ALPN, Authority
from muxi_sandbox.egress.channels import PlainChannel, TlsChannel
from muxi_sandbox.egress.duplex import Duplex
from muxi_sandbox.egress.exchange import Exchange
from muxi_sandbox.egress.placeholders import Watch
from muxi_sandbox.egress.refusal import RefusedConnectionError, RefusedSecretError, answer
from muxi_sandbox.egress.relay import BUFFER_BYTES, receive, relay, send
from muxi_sandbox.egress.substitution import Substitution

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from muxi_sandbox.egress.channels import Channel
    from muxi_sandbox.egress.contract import Destination, Peer, SecretKeeper
    from muxi_sandbox.egress.heads import Head
    from muxi_sandbox.egress.relay import Meter
    from muxi_sandbox.egress.settings import EgressSettings

__all__ = ["Reading", "Secrets"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 1
"""Between two looks of one connection at values that may have changed."""


class Secrets:
    """What reading along takes, for all connections of a proxy."""

    def __init__(self, keeper: SecretKeeper, authority: Authority, certificates: Path | None = None) -> None:
        """`certificates`: see `EgressSettings.certificates`."""
        self.keeper = keeper
        self.authority = authority
        self._certificates = certificates
        self._context: ssl.SSLContext | None = None
        self._making = anyio.Lock()

    async def host_context(self) -> ssl.SSLContext:
        """To be a client with. Making it takes up to a tenth of a second; it is made once.

        Raises:
            RefusedConnectionError: the operator's file cannot be used.
        """
        async with self._making:
            if self._context is None:
                self._context = await to_thread.run_sync(self._make_context)
        return self._context

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(ALPN)
        if self._certificates is not None:
            try:
                context.load_verify_locations(self._certificates)
            except OSError as error:
                raise RefusedConnectionError(
                    "certificate",
                    f"The file egress.certificates, {self._certificates}, cannot be used: {error}.",
                    remedy="Correct muxi.yaml.",
                ) from error
        return context


@dataclass(slots=True)
class Reading:
    """One connection. `tell` notes an event of it; `may_tell` counts refusals, and says whether to note this one."""

    client: socket.socket
    host: socket.socket
    peer: Peer
    destination: Destination
    secrets: Secrets
    settings: EgressSettings
    meter: Meter
    tell: Callable[[str, Mapping[str, Any]], Awaitable[None]]
    tell_refusal: Callable[[RefusedConnectionError], Awaitable[None]]
    may_tell: Callable[[], bool]
    _values: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)
    _looked_at: float = field(default=-math.inf, init=False)

    async def plain(self, head: Head, rest: bytes) -> str:
        """One request that is not encrypted; why it ended.

        Raises:
            RefusedConnectionError: it was refused; the client was told.
        """
        return await self._run(PlainChannel(self.client), self._plain_host, rest, head)

    async def tunnel(self, first: bytes) -> str:
        """Requests inside TLS, whose first bytes came already; as `plain`."""
        try:
            context = self.secrets.authority.context(self.destination.host)
        except Exception as error:
            log.exception("no certificate for a sandbox's connection could be made")
            raise RefusedConnectionError("certificate", "The authority of the sandboxes cannot be used.") from error
        client = TlsChannel(self.client, context, first=first)
        with anyio.move_on_after(self.settings.head_seconds) as scope:
            await client.handshake()
        if scope.cancelled_caught:
            raise RefusedConnectionError("time", "The TLS client did not finish its handshake in time.")
        return await self._run(client, self._tls_host, b"", None)

    async def other(self, first: bytes) -> str:
        """A tunnel for something that is no TLS: unread, but no placeholder goes through, and no secret's own host."""
        if any(self.destination.place in route.hosts for route in self.peer.secrets):
            refusal = RefusedConnectionError(
                "protocol", "A tunnel to a secret's host has to be TLS: else it could not be seen what comes back."
            )
            await self._note(refusal)
            raise refusal
        watch = Watch()

        async def up() -> None:
            data = first
            while data:
                if watch.sees(data):
                    raise RefusedSecretError("A placeholder of a secret in a tunnel that is neither TLS nor HTTP.")
                self.meter.count_up(len(data))
                await send(self.host, data)
                data = await receive(self.client, BUFFER_BYTES)

        down = partial(relay, self.host, self.client, self.meter.count_down)
        try:
            return await Duplex(self.meter, self.settings.idle_seconds).run(up, down, down_ends_all=False)
        except RefusedConnectionError as refusal:
            await self._note(refusal)
            raise

    async def _run(
        self, client: Channel, open_host: Callable[[], Awaitable[Channel]], rest: bytes, head: Head | None
    ) -> str:
        exchange: Exchange | None = None

        async def up() -> None:
            nonlocal exchange
            substitution = Substitution(self.peer, self.destination, self._ask, self._known)
            exchange = Exchange(
                client, open_host, self.destination, substitution, self.settings, self.meter, first=rest
            )
            await exchange.run(head)
            await client.send_last(b"")

        try:
            return await Duplex(self.meter, self.settings.idle_seconds).run(up, _nothing, down_ends_all=False)
        except RefusedConnectionError as refusal:
            await self._note(refusal)
            if exchange is None or not exchange.is_answering:
                await client.send_last(answer(refusal))
            raise

    async def _note(self, refusal: RefusedConnectionError) -> None:
        if refusal.secret is None:
            await self.tell_refusal(refusal)
        elif self.may_tell():
            facts = {"name": refusal.secret, "rule": refusal.rule, "reason": str(refusal)[:500]}
            await self.tell("secret.refused", facts)

    async def _known(self) -> Mapping[str, str]:
        """Values that this host may have got at some time, as they were within the last second."""
        # On whatever port: what one was told, another may give out.
        host = self.destination.place.rpartition(":")[0]
        names = [
            route.name for route in self.peer.secrets if host in {place.rpartition(":")[0] for place in route.hosts}
        ]
        if not names or anyio.current_time() < self._looked_at + LOOK_SECONDS:
            return self._values
        try:
            self._values = await self.secrets.keeper.values(names)
        except Exception as error:  # whatever is wrong with the vault: nothing is sent
            log.exception("the vault cannot be read for a sandbox's connection")
            raise RefusedSecretError(
                "The vault cannot be read.", secret=names[0], remedy="See the runtime's log."
            ) from error
        self._looked_at = anyio.current_time()
        return self._values

    async def _ask(self, name: str) -> str:
        grant = await self.secrets.keeper.grant(self.peer, name, self.destination)
        verdict = grant.verdict
        if not verdict.allowed:
            raise RefusedSecretError(verdict.reason, secret=name, rule=verdict.rule, remedy=verdict.remedy)
        if any(unicodedata.category(character) == "Cc" for character in grant.value) or not grant.value:
            raise RefusedSecretError(f"The value of {name} cannot stand in a request.", secret=name)
        await self.tell("secret.used", {"name": name, "rule": verdict.rule})
        return grant.value

    async def _plain_host(self) -> Channel:
        return PlainChannel(self.host)

    async def _tls_host(self) -> Channel:
        host = self.destination.host
        channel = TlsChannel(self.host, await self.secrets.host_context(), name=host)
        try:
            with anyio.fail_after(self.settings.connect_seconds):
                await channel.handshake()
        except TimeoutError:
            limit = self.settings.connect_seconds
            raise RefusedConnectionError("time", f"No TLS within egress.connect_seconds of {limit:g}.") from None
        except ssl.SSLCertVerificationError as error:
            raise RefusedConnectionError(
                "certificate",
                f"The certificate of {host} is not trusted: {error.verify_message}.",
                remedy="Of a host of your own, name its authority: egress.certificates in muxi.yaml.",
            ) from error
        except OSError as error:
            raise RefusedConnectionError("unreachable", f"No TLS with {host}: {error.strerror or error}.") from error
        return channel


async def _nothing() -> None:
    """The other direction is part of the first: an answer follows its request."""
