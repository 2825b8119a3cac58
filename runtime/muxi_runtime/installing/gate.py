"""What a workshop may connect to: the registries that its spec names. Each decision is journalled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muxi_runtime.installing.workshop import SERVER
from muxi_runtime.journal.contract import Draft, Journal
from muxi_sandbox.egress.contract import Destination, Peer, Verdict

__all__ = ["InstallGate"]

REGISTRIES = "install-registries"
"""Stands for a rule."""


class InstallGate:
    """A `Gatekeeper`. The new server itself, asked for its tools before it is accepted, reaches nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def decide(self, peer: Peer, _destination: Destination) -> Verdict:
        """See `Gatekeeper.decide`. The profile was looked at before this is asked."""
        if peer.server == SERVER:
            return Verdict(allowed=True, rule=REGISTRIES, reason="A registry that packages are installed from.")
        return Verdict(
            allowed=False,
            rule=REGISTRIES,
            reason="The server is not accepted yet.",
            remedy="It may connect once it is added, from a tool call.",
        )

    async def tell(self, peer: Peer, kind: str, facts: Mapping[str, Any]) -> None:
        """See `Gatekeeper.tell`.

        Raises:
            JournalError: it could not be made durable.
            ValueError: a kind that the journal does not know.
        """
        data = {"server": peer.server, "sandbox": peer.sandbox, **facts}
        if kind == "egress.decided":
            await self._journal.append(Draft("egress.decided", task=peer.task, data=data))
        elif kind == "egress.closed":
            await self._journal.append(Draft("egress.closed", task=peer.task, data=data))
        else:
            raise ValueError(f"{kind!r} is no event of the egress proxy")
