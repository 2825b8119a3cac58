"""The seam between a sandbox's way out and whoever decides about it.

Above it: the runtime, which is a `Gatekeeper`: it asks its policy and writes the journal. Below it:
`proxy.EgressProxy`, the production `Egress`, which a backend starts at the claim of each sandbox whose spec names
hosts. `ClosedEgress` is for a backend that has nobody to ask: nothing is let out.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from muxi_sandbox.errors import SpecRefusedError

__all__ = ["ClosedEgress", "Destination", "Egress", "Gatekeeper", "Peer", "Verdict"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Whose connections these are.

    Attributes:
        allow: what the profile lets it reach, as `Spec.network`; nothing else is ever asked about.
    """

    task: str
    server: str
    sandbox: str
    allow: tuple[str, ...]


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
        """Note an event: `egress.decided` before a connection is made or refused, `egress.closed` after it.

        Raises:
            Exception: it cannot be noted; the connection is not made.
        """


class Egress(Protocol):
    """Gives sandboxes their way out."""

    def serve(self, socket: Path, peer: Peer) -> AbstractAsyncContextManager[None]:
        """Listen on `socket`, which does not exist yet, for the block; inside the block connections are taken.

        Raises:
            SandboxError: it cannot listen.
        """


class ClosedEgress:
    """Nobody to ask: a spec that names hosts is refused."""

    def serve(self, socket: Path, peer: Peer) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # the seam's
        """See `Egress.serve`."""
        raise SpecRefusedError(
            f"Server {peer.server!r} wants the network, and no egress proxy runs here. Start it with the runtime.",
        )
