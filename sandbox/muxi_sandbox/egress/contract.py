"""The seam between a sandbox's way out and whoever decides about it.

Above it: the runtime, which is a `Gatekeeper`: it asks its policy and writes the journal. Below it:
`proxy.EgressProxy`, the production `Egress`, which a backend starts at the claim of each sandbox whose spec names
hosts. `ClosedEgress` is for a backend that has nobody to ask: nothing is let out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from muxi_sandbox.contract import SecretRoute
from muxi_sandbox.errors import SpecRefusedError

__all__ = ["ClosedEgress", "Destination", "Egress", "Gatekeeper", "Grant", "Peer", "SecretKeeper", "Verdict"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Whose connections these are.

    Attributes:
        allow: what the profile lets it reach, as `Spec.network`; nothing else is ever asked about.
        secrets: placeholders of its sandbox, as `Spec.secrets`.
    """

    task: str
    server: str
    sandbox: str
    allow: tuple[str, ...]
    secrets: tuple[SecretRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """Where it wants to.

    Attributes:
        host: a canonical name (lower case, no trailing dot, IDNA), or an address.
        scheme: `http` for a plain request, `connect` for a tunnel.
    """

    host: str
    port: int
    scheme: str

    @property
    def place(self) -> str:
        """As `SecretRoute.hosts` has it: `example.com:443`, `[2001:db8::1]:443`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, with the rule that gave it."""

    allowed: bool
    rule: str
    reason: str = ""
    remedy: str = ""


class Gatekeeper(Protocol):
    """Decides about what the profile lets through already, and hears of everything."""

    async def decide(self, peer: Peer, destination: Destination) -> Verdict:
        """Whether this connection may be made. An error inside it is a refusal, never an exception."""

    async def tell(self, peer: Peer, kind: str, facts: Mapping[str, Any]) -> None:
        """Note an event.

        `egress.decided` comes before a connection is made or refused, `egress.closed` after it. In between there may be
        `secret.used`, before a value is put in, and `secret.refused`.

        Raises:
            Exception: it cannot be noted; the connection is not made.
        """


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to who asks for a secret. The value, of one that is allowed, is in no text form of it."""

    verdict: Verdict
    value: str = field(default="", repr=False)


class SecretKeeper(Protocol):
    """Gives values of secrets for single connections."""

    async def grant(self, peer: Peer, name: str, destination: Destination) -> Grant:
        """Whether this secret may be used on this connection. An error inside it is a refusal, never an exception."""

    async def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """Those of them that are set: what must not come back from a host.

        Raises:
            Exception: they cannot be read; the connection is not made.
        """


class Egress(Protocol):
    """Gives sandboxes their way out."""

    def serve(self, socket: Path, peer: Peer) -> AbstractAsyncContextManager[None]:
        """Listen on `socket`, which does not exist yet, for the block; inside the block connections are taken.

        Raises:
            SandboxError: it cannot listen.
        """

    def certificate(self) -> bytes:
        """Of the authority that sandboxes whose servers have secrets must trust, in PEM form. Blocks for milliseconds.

        Raises:
            SandboxError: there is none.
        """


class ClosedEgress:
    """Nobody to ask: a spec that names hosts is refused."""

    def serve(self, socket: Path, peer: Peer) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # the seam's
        """See `Egress.serve`."""
        raise SpecRefusedError(
            f"Server {peer.server!r} wants the network, and no egress proxy runs here. Start it with the runtime.",
        )

    def certificate(self) -> bytes:
        """See `Egress.certificate`."""
        raise SpecRefusedError("A server has secrets, and no egress proxy runs here. Start it with the runtime.")
