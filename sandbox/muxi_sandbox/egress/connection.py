"""One connection of a sandbox, from its first byte to its last.

    head ─▶ profile ─▶ gatekeeper ─▶ resolve, check ─▶ told ─▶ dial ─▶ (tunnel: the name inside) ─▶ bytes ─▶ told

Whatever is refused is refused before anything is sent on, and told with the rule that refused it.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from muxi_sandbox.egress.answering import relay_answer
from muxi_sandbox.egress.chunks import ChunkedBody
from muxi_sandbox.egress.contract import Destination, Peer
from muxi_sandbox.egress.duplex import Duplex
from muxi_sandbox.egress.heads import END, Request, parse_head
from muxi_sandbox.egress.names import HostRule, permits
from muxi_sandbox.egress.reading import Reading
from muxi_sandbox.egress.refusal import RefusedConnectionError, answer
from muxi_sandbox.egress.relay import BUFFER_BYTES, Meter, receive, relay, send, send_last
from muxi_sandbox.egress.tls import ALERT
from muxi_sandbox.egress.tunnel import RECORD, read_first_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muxi_sandbox.egress.admission import Tally
    from muxi_sandbox.egress.contract import Gatekeeper
    from muxi_sandbox.egress.dialling import Dialler
    from muxi_sandbox.egress.reading import Secrets
    from muxi_sandbox.egress.settings import EgressSettings

__all__ = ["Connection"]

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(slots=True)
class Connection:
    """Everything that one connection needs; `run` serves it."""

    client: socket.socket
    peer: Peer
    rules: tuple[HostRule, ...]
    settings: EgressSettings
    gatekeeper: Gatekeeper
    dialler: Dialler
    tally: Tally
    meter: Meter
    id: str = field(default_factory=lambda: f"n-{secrets.token_hex(6)}")
    """By which what was decided of it and what became of it are told together."""
    secrets: Secrets | None = None
    _answered: bool = field(default=False, init=False)
    _opened_at: float = field(default=0.0, init=False)

    async def run(self) -> None:
        """Serve it. Raises nothing but what the gatekeeper raises when it cannot note the end."""
        try:
            await self._serve()
        except RefusedConnectionError as refusal:
            await self._say(refusal)
        except OSError:
            pass  # the sandbox is gone, or closed without a word

    async def _serve(self) -> None:
        head = await self._head()
        if head is None:
            return
        text, rest = head
        request = await self._parse(text)
        destination = Destination(request.host, request.port, request.scheme)
        try:
            rule = await self._decide(destination)
            addresses = await self.dialler.addresses(request.host, request.port)
        except RefusedConnectionError as refusal:
            await self._tell_refusal(destination, refusal)
            raise
        await self._tell_allowed(destination, rule, addresses)
        self._opened_at = anyio.current_time()
        why = "the runtime ended it"
        try:
            why = await self._connected(request, destination, addresses, rest)
        except RefusedConnectionError as refusal:
            why = str(refusal)
            raise
        except OSError as error:
            why = error.strerror or str(error)
        finally:
            with anyio.CancelScope(shield=True):
                await self._tell_closed(destination, why)

    async def _head(self) -> tuple[bytes, bytes] | None:
        """The head and what came after it; `None` if nothing was asked."""
        data = bytearray()
        limit = self.settings.head_bytes
        try:
            with anyio.fail_after(self.settings.head_seconds):
                while (end := data.find(END)) < 0:
                    if len(data) > limit:
                        raise RefusedConnectionError("limit", f"The head is longer than egress.head_bytes of {limit}.")
                    more = await receive(self.client, limit)
                    if not more:
                        return None
                    data += more
        except TimeoutError:
            limit_seconds = self.settings.head_seconds
            raise RefusedConnectionError(
                "time", f"No request came within egress.head_seconds of {limit_seconds:g}."
            ) from None
        return bytes(data[:end]), bytes(data[end + len(END) :])

    async def _parse(self, head: bytes) -> Request:
        try:
            return parse_head(head)
        except RefusedConnectionError as refusal:
            await self._tell_refusal(Destination("", 0, ""), refusal)
            raise

    async def _decide(self, destination: Destination) -> str:
        """The rule that allows it."""
        host, port = destination.host, destination.port
        if not permits(self.rules, host, port):
            raise RefusedConnectionError(
                "profile",
                f"Server {self.peer.server!r} may not connect to {host}:{port}.",
                remedy=f"An operator can allow it: servers.{self.peer.server}.network.allow in muxi.yaml.",
            )
        verdict = await self.gatekeeper.decide(self.peer, destination)
        if not verdict.allowed:
            raise RefusedConnectionError(verdict.rule, verdict.reason, remedy=verdict.remedy)
        return verdict.rule

    def _reading(self, destination: Destination, host: socket.socket) -> Reading | None:
        """Of a sandbox whose server has secrets; `None` for any other."""
        if not self.peer.secrets:
            return None
        if self.secrets is None:
            raise RefusedConnectionError("secret", "No vault is open here, and the server has secrets.")
        return Reading(
            self.client,
            host,
            self.peer,
            destination,
            self.secrets,
            self.settings,
            self.meter,
            tell=lambda kind, facts: self._tell(kind, destination, **facts),
            tell_refusal=partial(self._tell_refusal, destination),
            may_tell=self.tally.may_tell,
        )

    async def _connected(
        self, request: Request, destination: Destination, addresses: Sequence[str], rest: bytes
    ) -> str:
        with await self.dialler.dial(addresses, request.port) as host:
            reading = self._reading(destination, host)
            if request.is_tunnel:
                return await self._tunnel(destination, host, rest, reading)
            if reading and request.head:
                self._answered = True  # by whoever reads along
                return await reading.plain(request.head, rest)
            return await self._plain(request, host, rest)

    async def _tunnel(self, destination: Destination, host: socket.socket, rest: bytes, reading: Reading | None) -> str:
        await send(self.client, ESTABLISHED)
        self._answered = True
        try:
            first = await read_first_bytes(self.client, rest, destination, self.settings.head_seconds)
        except RefusedConnectionError as refusal:
            await self._tell_refusal(destination, refusal)
            raise
        if reading:
            return await (reading.tunnel(first) if first.startswith(RECORD) else reading.other(first))
        self.meter.count_up(len(first))
        await send(host, first)
        up = partial(relay, self.client, host, self.meter.count_up)
        down = partial(relay, host, self.client, self.meter.count_down)
        return await Duplex(self.meter, self.settings.idle_seconds).run(up, down, down_ends_all=False)

    async def _plain(self, request: Request, host: socket.socket, rest: bytes) -> str:
        await send(host, request.onward)
        self.meter.count_up(len(request.onward))
        if request.length is None:
            up = partial(self._chunked, host, rest)
        else:
            up = partial(self._counted, host, rest, request.length)
        method = request.head.method if request.head else ""
        count = self.meter.count_down
        down = partial(relay_answer, host, self.client, count, method=method, begin=self._host_answers)
        return await Duplex(self.meter, self.settings.idle_seconds).run(up, down, down_ends_all=True)

    def _host_answers(self) -> None:
        self._answered = True

    async def _counted(self, host: socket.socket, data: bytes, left: int) -> None:
        while left:
            part = data[:left]
            self.meter.count_up(len(part))
            await send(host, part)
            left -= len(part)
            if left and not (data := await receive(self.client, BUFFER_BYTES)):
                return

    async def _chunked(self, host: socket.socket, data: bytes) -> None:
        body = ChunkedBody()
        while True:
            size = body.feed(data)
            self.meter.count_up(size)
            await send(host, data[:size])
            if body.is_over or not (data := await receive(self.client, BUFFER_BYTES)):
                return

    async def _tell_allowed(self, destination: Destination, rule: str, addresses: Sequence[str]) -> None:
        facts = {"allowed": True, "rule": rule, "reason": "", "address": addresses[0]}
        await self._tell("egress.decided", destination, **facts)

    async def _tell_refusal(self, destination: Destination, refusal: RefusedConnectionError) -> None:
        if not self.tally.may_tell():
            return
        facts: dict[str, Any] = {"allowed": False, "rule": refusal.rule, "reason": str(refusal)[:500]}
        if refusal.address:
            facts["address"] = refusal.address
        if untold := self.tally.take():
            facts["untold"] = untold
        await self._tell("egress.decided", destination, **facts)

    async def _tell_closed(self, destination: Destination, why: str) -> None:
        seconds = round(anyio.current_time() - self._opened_at, 3)
        facts = {"bytes_up": self.meter.up, "bytes_down": self.meter.down, "seconds": seconds, "why": why[:500]}
        await self._tell("egress.closed", destination, **facts)

    async def _tell(self, kind: str, destination: Destination, **facts: Any) -> None:  # noqa: ANN401  # JSON values
        where = {"host": destination.host[:300], "port": destination.port, "scheme": destination.scheme}
        await self.gatekeeper.tell(self.peer, kind, {"connection": self.id, **where, **facts})

    async def _say(self, refusal: RefusedConnectionError) -> None:
        """Tell the client, in the way that it can still understand."""
        if not self._answered:
            await send_last(self.client, answer(refusal))
        elif refusal.rule == "sni":
            await send_last(self.client, ALERT)
