"""The table of pins: which definitions a person has accepted, and which wait for one.

They are of tools, prompts and resource templates. Above: `pin_book`, which blocks what is not accepted, and the
commands `pins` and `servers add`. Each has at most one row in each state. Calls block for a fraction of a millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select

from muxi_runtime.catalog.pins import PinKind, canonical_json, name_of, pin_of
from muxi_runtime.store.engine import reading, writing
from muxi_runtime.store.schema import pins
from muxi_runtime.store.times import utc_text

__all__ = ["Lists", "PinRecord", "PinState", "PinStore"]

Lists: TypeAlias = Mapping[PinKind, Iterable[Mapping[str, Any]]]
"""Definitions as a server listed them, by kind."""


class PinState(StrEnum):
    """What is known of a definition."""

    ACCEPTED = "accepted"
    OFFERED = "offered"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class PinRecord:
    """One row.

    Attributes:
        tool: its name; of a prompt or a template, that one's: see `pins.name_of`.
        pin: a hash over the definition, see `pins.pin_of`.
        identity: of the server when it listed this: where it comes from and what exactly runs.
        at: when it came into this state, ISO 8601 in UTC.
    """

    server: str
    kind: PinKind
    tool: str
    state: PinState
    pin: str
    identity: str
    definition: Mapping[str, Any]
    at: str


class PinStore:
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self, server: str | None = None) -> list[PinRecord]:
        """Every row, or those of one server: tools first, by name."""
        query = select(pins).order_by(pins.c.server, pins.c.kind.desc(), pins.c.tool, pins.c.state)
        if server is not None:
            query = query.where(pins.c.server == server)
        with reading(self._engine) as connection:
            return [_record(dict(row)) for row in connection.execute(query).mappings()]

    def accept_all(self, server: str, lists: Lists, identity: str) -> None:
        """Of these kinds these definitions, and no others, are what is known of the server from now on."""
        with writing(self._engine) as connection:
            for kind, definitions in lists.items():
                connection.execute(delete(pins).where((pins.c.server == server) & (pins.c.kind == kind)))
                for definition in definitions:
                    _put(connection, (server, kind), PinState.ACCEPTED, definition, identity)

    def carry_over(self, server: str, lists: Lists, identity: str) -> list[PinRecord]:
        """The server is another one from now on: what is defined as it was accepted stays so, all else waits.

        What is gone is forgotten. What waits.
        """
        rows = self.all(server)
        accepted = {(row.kind, row.tool): row.pin for row in rows if row.state is PinState.ACCEPTED}
        listed = {(kind, name_of(kind, found)): found for kind, many in lists.items() for found in many}
        with writing(self._engine) as connection:
            for row in rows:
                if row.state is PinState.OFFERED or (row.kind, row.tool) not in listed:
                    connection.execute(delete(pins).where(_is(row)))
            for key, definition in listed.items():
                is_same = accepted.get(key) == pin_of(definition)
                state = PinState.ACCEPTED if is_same else PinState.OFFERED
                _put(connection, (server, key[0]), state, definition, identity)
        return [row for row in self.all(server) if row.state is PinState.OFFERED]

    def offer(self, server: str, kind: PinKind, definition: Mapping[str, Any], identity: str) -> bool:
        """A definition that is not the accepted one waits for a person; whether that is news.

        One that was rejected as it is stays so.
        """
        name, pin = name_of(kind, definition), pin_of(definition)
        rows = [row for row in self.all(server) if (row.kind, row.tool) == (kind, name)]
        known = [row for row in rows if row.state is not PinState.ACCEPTED]
        if any((row.pin, row.identity) == (pin, identity) for row in known):
            return False
        with writing(self._engine) as connection:
            _put(connection, (server, kind), PinState.OFFERED, definition, identity)
        return True

    def accept(self, record: PinRecord) -> bool:
        """Accept what waits (or was rejected), if it still is this definition; whether it was."""
        return self._settle(record, PinState.ACCEPTED)

    def reject(self, record: PinRecord) -> bool:
        """Refuse it for good; as `accept`."""
        return self._settle(record, PinState.REJECTED)

    def forget(self, server: str) -> None:
        """Nothing of the server is known any more."""
        with writing(self._engine) as connection:
            connection.execute(delete(pins).where(pins.c.server == server))

    def _settle(self, record: PinRecord, state: PinState) -> bool:
        with writing(self._engine) as connection:
            if not connection.execute(delete(pins).where(_is(record))).rowcount:
                return False
            _put(connection, (record.server, record.kind), state, record.definition, record.identity)
        return True


def _put(
    connection: Connection, of: tuple[str, PinKind], state: PinState, definition: Mapping[str, Any], identity: str
) -> None:
    server, kind = of
    row = {
        "server": server,
        "kind": kind,
        "tool": name_of(kind, definition),
        "state": state,
        "pin": pin_of(definition),
        "identity": identity,
        "definition": canonical_json(dict(definition)),
        "at": utc_text(datetime.now(UTC)),
    }
    of_it = (pins.c.server == server) & (pins.c.kind == kind) & (pins.c.tool == row["tool"])
    same = of_it & (pins.c.state == state)
    connection.execute(delete(pins).where(same))
    connection.execute(insert(pins).values(row))


def _is(record: PinRecord) -> ColumnElement[bool]:
    """Exactly this row."""
    of_it = (pins.c.server == record.server) & (pins.c.kind == record.kind) & (pins.c.tool == record.tool)
    return of_it & (pins.c.state == record.state) & (pins.c.pin == record.pin)


def _record(row: Mapping[str, Any]) -> PinRecord:
    known = {"kind": PinKind(row["kind"]), "state": PinState(row["state"])}
    fields = {**row, **known, "definition": json.loads(row["definition"])}
    return PinRecord(**fields)
