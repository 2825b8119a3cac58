"""Which era of the protocol each server speaks, and how it behaves in it: learnt once, for all its sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mcp_types as types

__all__ = ["Eras"]


class Eras:
    """What each server answered to `server/discover`, by server name: asking again costs a round trip."""

    def __init__(self) -> None:
        self._known: dict[str, types.DiscoverResult | None] = {}
        self._asking: set[str] = set()

    def asks(self, server: str) -> bool:
        """Whether a server of the legacy era ever asked its client something."""
        return server in self._asking

    def note_that_it_asks(self, server: str) -> None:
        """It did: from now on, of the calls that can be asked, one session makes one at a time."""
        self._asking.add(server)

    def options(self, server: str) -> dict[str, Any]:
        """Arguments for `mcp.Client`."""
        if server not in self._known:
            return {"mode": "auto"}
        discovered = self._known[server]
        if discovered is None:
            return {"mode": "legacy"}
        return {"mode": discovered.supported_versions[-1], "prior_discover": discovered}

    def remember(self, server: str, discovered: types.DiscoverResult | None) -> None:
        """Keep the answer; `None` for a server of the legacy era."""
        self._known[server] = discovered

    def forget(self, server: str) -> None:
        """Ask again next time: the server may have changed."""
        self._known.pop(server, None)
