"""Decides what of a server may be offered: tools, prompts and templates whose definition is the one that was accepted.

Above: the gateway's books of tools and of offers, which ask at each list. Below: `pin_store`. A server that comes with
this runtime needs no pins. One that muxi.yaml names is accepted as it is first seen, since the operator put it there;
one that was added has been accepted by whoever added it. From then on any change blocks what changed, and that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from muxi_runtime.catalog.pin_store import PinRecord, PinState, PinStore
from muxi_runtime.catalog.pins import PinKind, name_of, pin_of

__all__ = ["CHANGED", "NEW", "OTHER_SERVER", "REJECTED", "PinBook"]

CHANGED = "it has changed since it was accepted"
NEW = "it was not there when the server was accepted"
OTHER_SERVER = "its server is another one than was accepted: what runs has changed"
REJECTED = "it was rejected"


class PinBook:
    """Keeps what is accepted in memory; `load` reads it anew."""

    def __init__(
        self,
        store: PinStore,
        *,
        is_trusted: Callable[[str], bool],
        was_added: Callable[[str], bool],
        identity: Callable[[str], str],
    ) -> None:
        """`is_trusted`: needs no pins. `identity`: where the server comes from and what exactly runs.

        `was_added`: a person has seen its tools, even if there were none, so that nothing is accepted at first sight.
        """
        self._store = store
        self._is_trusted = is_trusted
        self._was_added = was_added
        self._identity = identity
        self._known: dict[tuple[str, PinKind], dict[tuple[str, PinState], PinRecord]] = {}
        self.load()

    def load(self) -> bool:
        """Read the table; whether somebody has accepted or rejected something since."""
        before, self._known = self._known, {}
        for record in self._store.all():
            if record.state is not PinState.OFFERED:
                self._known.setdefault((record.server, record.kind), {})[record.tool, record.state] = record
        return self._known != before

    def judge(
        self, server: str, definitions: Sequence[Mapping[str, Any]], kind: PinKind = PinKind.TOOL
    ) -> dict[str, str]:
        """Which of these may not be offered, by name, and why. What is refused waits for a person."""
        if self._is_trusted(server):
            return {}
        identity = self._identity(server)
        if (server, kind) not in self._known and not self._was_added(server):
            self._store.accept_all(server, {kind: definitions}, identity)
            self.load()
            return {}
        blocked = {}
        for definition in definitions:
            name = name_of(kind, definition)
            reason = self._reason(self._known.get((server, kind), {}), name, pin_of(definition), identity)
            if reason:
                blocked[name] = reason
                self._store.offer(server, kind, definition, identity)
        return blocked

    def _reason(self, known: Mapping[tuple[str, PinState], PinRecord], name: str, pin: str, identity: str) -> str:
        accepted = known.get((name, PinState.ACCEPTED))
        if accepted is not None and (accepted.pin, accepted.identity) == (pin, identity):
            return ""
        rejected = known.get((name, PinState.REJECTED))
        if rejected is not None and rejected.pin == pin:
            return REJECTED
        if accepted is None:
            return NEW
        return CHANGED if accepted.pin != pin else OTHER_SERVER
