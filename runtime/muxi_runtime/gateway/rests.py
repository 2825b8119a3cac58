"""Texts that were too long for a result, kept for their task: in memory, for a while, within bounds.

Above: the door, which puts them here, and `host_server`, which gives them out in ranges. Each task has its own, so
that they end with it and no other task can name one.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from muxi_runtime.catalog.labels import Label
from muxi_runtime.errors import InvalidArgumentsError, RefusedError, ServerError

__all__ = ["LONGEST_RANGE", "PREFIX", "Carried", "Range", "Rest", "Rests", "make_room", "new_name", "parse"]

PREFIX = "muxi://results/"
LONGEST_RANGE = 100_000
"""Characters that are given out at once."""
_ID = re.compile(r"[0-9a-f]{24}")
_NUMBER = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Carried:
    """What a kept text labels its task with, each time that it is read.

    Attributes:
        source: SERVER.TOOL that gave it.
        labels: and why, as clauses.
    """

    source: str = ""
    labels: Mapping[Label, str] = field(default_factory=dict)


NOTHING = Carried()


@dataclass(frozen=True, slots=True)
class Rest:
    """One kept text.

    Attributes:
        size: in bytes, as it was counted.
        at: monotonic seconds.
        rules: why it was withheld from the model; empty for what was only too long.
    """

    text: str
    mime_type: str
    size: int
    carried: Carried = NOTHING
    at: float = field(default_factory=time.monotonic)
    rules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked for: characters of one text."""

    id: str
    offset: int = 0
    length: int = LONGEST_RANGE


class Rests:
    """Those of one task, oldest first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Rest] = OrderedDict()

    @property
    def size(self) -> int:
        """All together, in bytes."""
        return sum(rest.size for rest in self._kept.values())

    @property
    def oldest_at(self) -> float:
        """Monotonic seconds; infinite where there is none."""
        return next((rest.at for rest in self._kept.values()), float("inf"))

    def drop_oldest(self) -> None:
        """To make room."""
        self._kept.popitem(last=False)

    def put(
        self,
        text: str,
        mime_type: str,
        *,
        limit: int,
        seconds: float,
        of: Carried = NOTHING,
        name: str = "",
        rules: frozenset[str] = frozenset(),
    ) -> str:
        """Keep a text; its URI. Older ones go where all would have more than `limit` bytes.

        With `rules` it is kept for persons alone, see `Rest`. `name` is one of `new_name`.

        Raises:
            ServerError: it alone has more.
        """
        rest = Rest(text, mime_type, len(text.encode(errors="replace")), of, rules=rules)
        if rest.size > limit:
            raise ServerError(
                f"The result holds a text of {rest.size} bytes; {limit} are kept.",
                remedy="Ask the tool for less at a time, or raise gateway.kept_results_bytes in muxi.yaml.",
            )
        self._forget_old(seconds)
        while self.size + rest.size > limit:
            self.drop_oldest()
        name = name or new_name()
        self._kept[name] = rest
        return PREFIX + name

    def get(self, name: str, seconds: float) -> Rest:
        """The text, for whoever made the call.

        Raises:
            InvalidArgumentsError: it is not there, or not any more.
            RefusedError: it was withheld.
        """
        rest = self._find(name, seconds)
        if rest.rules:
            raise RefusedError(
                f"What {PREFIX}{name} holds was withheld, since it gives instructions to a model.",
                remedy="A person can read it with `muxi-runtime tasks withheld`; no tool does.",
            )
        return rest

    @property
    def count_withheld(self) -> int:
        """How many of them only a person may read."""
        return sum(bool(rest.rules) for rest in self._kept.values())

    def withheld(self, seconds: float) -> Mapping[str, Rest]:
        """By name: what was withheld and is still kept."""
        self._forget_old(seconds)
        return {name: rest for name, rest in self._kept.items() if rest.rules}

    def withheld_from_model(self, name: str, seconds: float) -> Rest:
        """One of `withheld`, for a person.

        Raises:
            InvalidArgumentsError: it is not there, or not any more, or was not withheld.
        """
        rest = self._find(name, seconds)
        if not rest.rules:
            raise _not_kept(name)
        return rest

    def _find(self, name: str, seconds: float) -> Rest:
        self._forget_old(seconds)
        rest = self._kept.get(name)
        if rest is None:
            raise _not_kept(name)
        return rest

    def carried(self, name: str) -> Carried:
        """What reading this one labels the task with; nothing where it is not there."""
        rest = self._kept.get(name)
        return rest.carried if rest else NOTHING

    def _forget_old(self, seconds: float) -> None:
        while self._kept and time.monotonic() - self.oldest_at > seconds:
            self.drop_oldest()


def _not_kept(name: str) -> InvalidArgumentsError:
    return InvalidArgumentsError(
        f"This task keeps no result {PREFIX}{name[:24]}; newer ones may have taken its place.",
        remedy="Make the call again, or name the task (`muxi/task`) that made it.",
    )


def new_name() -> str:
    """One that nothing is kept under."""
    return secrets.token_hex(12)


def make_room(everybody: Iterable[Rests], limit: int) -> None:
    """Drop the oldest of all tasks until they have no more than `limit` bytes together."""
    known = list(everybody)
    while sum(rests.size for rests in known) > limit:
        min(known, key=lambda rests: rests.oldest_at).drop_oldest()


def parse(uri: str) -> Range:
    """What a `muxi://results/ID?offset=N&length=M` asks for.

    Raises:
        InvalidArgumentsError: it is none.
    """
    parts = urlsplit(uri)
    name = parts.path.removeprefix("/")
    given = parse_qs(parts.query, keep_blank_values=True)
    numbers = {key: values[0] for key, values in given.items() if len(values) == 1 and _NUMBER.fullmatch(values[0])}
    if (
        not uri.startswith(PREFIX)
        or not _ID.fullmatch(name)
        or not numbers.keys() == given.keys() <= {"offset", "length"}
    ):
        raise InvalidArgumentsError(
            f"{uri[:200]!r} is no kept result.", remedy=f"One is like {PREFIX}ID?offset=0&length={LONGEST_RANGE}."
        )
    length = int(numbers.get("length", LONGEST_RANGE))
    return Range(name, int(numbers.get("offset", 0)), min(length, LONGEST_RANGE))
