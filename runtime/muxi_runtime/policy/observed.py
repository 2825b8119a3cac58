"""What the journal saw of calls and connections: who did what, how often, and how it was decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from muxi_runtime.journal.contract import Event

__all__ = ["Count", "Deed", "Observed", "Place", "Use", "observe"]

KINDS = {"resources/": "Resource", "prompts/": "Prompt"}
LONGEST_NAME = 500
"""Longer ones are cut in the journal, and so are not known."""


@dataclass(frozen=True, slots=True, order=True)
class Deed:
    """A use of one thing by one user; `kind` is Cedar's: `Tool`, `Resource` or `Prompt`."""

    user: str
    kind: str
    server: str
    name: str


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a user's sandbox of a server went, or wanted to."""

    user: str
    server: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """Which secret went where."""

    place: Place
    name: str


@dataclass(slots=True)
class Count:
    """How often, and by which rules.

    Attributes:
        done: what went through: allowed, or asked and approved.
        approved: of it, what a person approved.
        refused: what did not.
    """

    done: int = 0
    approved: int = 0
    refused: int = 0
    first: str = ""
    last: str = ""
    refusing: dict[str, int] = field(default_factory=dict)
    """By the rule that refused, or whose question was not answered with yes."""

    def note(self, at: str, rule: str, *, done: bool, approved: bool = False) -> None:
        """Count one."""
        self.first, self.last = self.first or at, at
        self.done += done
        self.approved += approved
        if not done:
            self.refused += 1
            self.refusing[rule] = self.refusing.get(rule, 0) + 1


Deeds: TypeAlias = dict[Deed, Count]
Places: TypeAlias = dict[Place, Count]
Uses: TypeAlias = dict[Use, Count]


@dataclass(frozen=True, slots=True)
class Observed:
    """All of it, and how many events could not be told: shortened ones, and names that were cut."""

    deeds: Deeds
    places: Places
    untold: int
    uses: Uses = field(default_factory=dict)


def observe(events: Iterable[Event]) -> Observed:
    """Count the decisions among the events, which come in their order."""
    deeds: Deeds = {}
    places: Places = {}
    uses: Uses = {}
    asked: dict[str | None, tuple[Deed, Event]] = {}
    untold = 0
    for event in events:
        if event.kind not in {"call.decided", "call.answered", "egress.decided", "secret.used"}:
            continue
        try:
            if event.kind in {"egress.decided", "secret.used"}:
                _note_connection(places, uses, event)
            elif event.kind == "call.decided":
                _note_call(deeds, asked, event)
            elif event.call in asked:
                deed, question = asked.pop(event.call)
                yes = bool(event.data["allowed"])
                deeds.setdefault(deed, Count()).note(question.at, event.data["rule"], done=yes, approved=yes)
        except (KeyError, ValueError):
            untold += 1
    for deed, question in asked.values():  # nobody answered
        deeds.setdefault(deed, Count()).note(question.at, question.data["rule"], done=False)
    return Observed(deeds, places, untold, uses)


def _note_call(deeds: Deeds, asked: dict[str | None, tuple[Deed, Event]], event: Event) -> None:
    deed = _deed(event)
    effect = event.data["effect"]
    if effect == "ask":
        asked[event.call] = deed, event
    else:
        deeds.setdefault(deed, Count()).note(event.at, event.data["rule"], done=effect == "allow")


def _deed(event: Event) -> Deed:
    data = event.data
    name, method = str(data["tool"]), str(data.get("method", ""))
    if len(name) >= LONGEST_NAME:
        raise ValueError("its name was cut")
    kind = next((kind for begin, kind in KINDS.items() if method.startswith(begin)), "Tool")
    if method == "completion/complete":
        kind = "Resource" if ":" in name else "Prompt"
    return Deed(_user(event), kind, str(data["server"]), name)


def _note_place(places: Places, event: Event) -> None:
    data: Any = event.data
    if not data["host"]:
        return  # what was sent was no request
    place = Place(_user(event), str(data["server"]), str(data["host"]), int(data["port"]))
    places.setdefault(place, Count()).note(event.at, str(data["rule"]), done=bool(data["allowed"]))


def _note_connection(places: Places, uses: Uses, event: Event) -> None:
    if event.kind == "secret.used":
        _note_use(uses, event)
    else:
        _note_place(places, event)


def _note_use(uses: Uses, event: Event) -> None:
    data: Any = event.data
    place = Place(_user(event), str(data["server"]), str(data["host"]), int(data["port"]))
    uses.setdefault(Use(place, str(data["name"])), Count()).note(event.at, str(data["rule"]), done=True)


def _user(event: Event) -> str:
    """Without the key: rules are about people."""
    if not event.principal:
        raise ValueError("nobody's")
    return event.principal.split("/", 1)[0]
