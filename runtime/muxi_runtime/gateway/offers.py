"""The resources and prompts that servers offer beside their tools, as they listed them.

A prompt or a template whose definition is not the one that was accepted is not offered. Resources are not pinned: their
lists are made of a server's data, and change with it.

Above: `beside_tools` lists from here and finds out whose a resource is. Below: nothing; `listing` fills it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from muxi_runtime.catalog.pins import PinKind, name_of
from muxi_runtime.gateway.guard import cleaned_words

__all__ = ["KINDS", "PINNED", "OfferBook", "Offers", "matches"]

Definition = Mapping[str, Any]

KINDS: Mapping[str, tuple[str, str, str]] = {
    "prompts": ("prompts/list", "prompts", "prompts"),
    "resources": ("resources/list", "resources", "resources"),
    "templates": ("resources/templates/list", "resourceTemplates", "resources"),
}
"""By kind: the method that lists it, the key of the list, and the capability of a server that has any."""

PINNED: Mapping[str, PinKind] = {"prompts": PinKind.PROMPT, "templates": PinKind.TEMPLATE}
"""What is judged."""

Judge = Callable[[str, Sequence[Definition], PinKind], Mapping[str, str]]
"""Takes a server and its definitions of a kind; which of them may not be offered, by name, and why."""

WORDS = frozenset({"title", "description"})
"""What of a definition is for its reader."""
MAX_TEMPLATE = 2000
"""Characters of a URI template that is looked at."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What one server listed and may offer."""

    prompts: Sequence[Definition] = ()
    resources: Sequence[Definition] = ()
    templates: Sequence[Definition] = ()


def _all_are_welcome(_server: str, _definitions: Sequence[Definition], _kind: PinKind) -> Mapping[str, str]:
    return {}


class OfferBook:
    """All servers' offers. Changing them tells the listeners which list became another one."""

    def __init__(self, judge: Judge = _all_are_welcome) -> None:
        self._judge = judge
        self._servers: dict[str, Offers] = {}
        self._listed: dict[tuple[str, str], Sequence[Definition]] = {}
        self._blocked: dict[tuple[str, str], Mapping[str, str]] = {}
        self._listeners: list[Callable[[str], None]] = []

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with `prompts` or `resources` after each change."""
        self._listeners.append(listener)

    @property
    def servers(self) -> Mapping[str, Offers]:
        """By server name."""
        return self._servers

    def put(self, server: str, kind: str, definitions: Sequence[Definition]) -> None:
        """Offer these of a server, of one of `KINDS`, instead of what it had."""
        before = self._servers.get(server, Offers())
        offered = definitions if kind not in PINNED else self._judged(server, kind, definitions)
        # A prompt is asked for by its name, a resource is not.
        words = WORDS if kind == "prompts" else WORDS | {"name"}
        self._servers[server] = replace(before, **{kind: tuple(cleaned_words(list(offered), words))})
        for listener in self._listeners:
            listener("prompts" if kind == "prompts" else "resources")

    def _judged(self, server: str, kind: str, definitions: Sequence[Definition]) -> list[Definition]:
        pinned = PINNED[kind]
        listed = [definition for definition in definitions if name_of(pinned, definition)]
        blocked = self._judge(server, listed, pinned)
        self._listed[server, kind], self._blocked[server, kind] = listed, blocked
        return [definition for definition in listed if name_of(pinned, definition) not in blocked]

    def judge_again(self) -> None:
        """What may be offered was decided anew."""
        for (server, kind), definitions in list(self._listed.items()):
            self.put(server, kind, definitions)

    def blocked(self, server: str, kind: str) -> Mapping[str, str]:
        """What is not offered of a server, by name, and why."""
        return self._blocked.get((server, kind), {})

    def expect(self, server: str) -> None:
        """It has its place from now on: the first owns what several list, and that is not whoever answers first."""
        self._servers.setdefault(server, Offers())

    def remove(self, server: str) -> None:
        """It is not there any more; no error if it was not."""
        gone = self._servers.pop(server, Offers())
        for kind in PINNED:
            self._listed.pop((server, kind), None)
            self._blocked.pop((server, kind), None)
        for kind, there in (("prompts", gone.prompts), ("resources", gone.resources or gone.templates)):
            if there:
                for listener in self._listeners:
                    listener(kind)

    def owner(self, uri: str) -> str | None:
        """Which server a resource belongs to: the first that lists it, else the first with a template that fits."""
        for name, offers in self._servers.items():
            if any(resource.get("uri") == uri for resource in offers.resources):
                return name
        for name, offers in self._servers.items():
            if any(matches(template.get("uriTemplate"), uri) for template in offers.templates):
                return name
        return None


def matches(template: object, uri: str) -> bool:
    """Whether a URI template could have given the URI (RFC 6570, read generously), or is that text itself."""
    if not isinstance(template, str) or len(template) > MAX_TEMPLATE:
        return False
    # Literals have to appear in their order; an expression stands for anything, but not for the scheme.
    first, *rest = re.split(r"\{[^{}]*\}", template)
    if template == uri or (not rest and first == uri):
        return True
    if not rest or ":" not in first or not uri.startswith(first) or not uri.endswith(rest[-1]):
        return False
    place, end = len(first), len(uri) - len(rest[-1])
    for literal in rest[:-1]:
        place = uri.find(literal, place, end)
        if place < 0:
            return False
        place += len(literal)
    return place <= end
