"""Which tools fit a few words best: BM25 over what a tool says of itself, the same words giving the same order.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), in the form for fields (BM25F):
a word in a tool's name counts for more than one in its description. No model, no state but the index, and nothing that
one tool says can move another but by making its words common.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

from muxi_runtime.gateway.tools import Tool

__all__ = ["Index", "words"]

NAME, TITLE, TEXT = 3.0, 2.0, 1.0
"""What a word counts for, by where it stands. Names of properties count as the description does."""

SATURATION, LENGTH = 1.2, 0.75
"""BM25's k1 and b: how soon more of a word stops counting, and how much long texts are held back."""

PART = 0.4
"""What a word counts for that only begins a tool's word, if no tool has it whole."""

MIN_PART = 3
MAX_FORMS = 50
"""Of words that begin with a part."""

MAX_ASKED = 32
"""Words of one query; what comes behind them is not looked for."""
MAX_TEXT = 20_000
"""Characters of one field of one tool: a server cannot make the index large."""
MAX_PROPERTIES = 500
MAX_DEPTH = 6
"""Of an input schema, when names of properties are looked for."""

WORD = re.compile(r"[^\W_]+")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words(text: str) -> list[str]:
    """The words of a text or of a name, in lower case: `readTextFiles` and `read_text_files` are the same three."""
    parts = (part for word in WORD.findall(text) for part in HUMP.split(word))
    return [_singular(part.casefold()) for part in parts]


def _singular(word: str) -> str:
    """Without a plural's `s`; crude, and the same for query and text."""
    plural = len(word) > MIN_PART and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word


@dataclass(frozen=True, slots=True)
class _Entry:
    tool: Tool
    counts: Mapping[str, float]
    length: float


class Index:
    """The tools that are offered now, by their words."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._entries = [_entry(tool) for tool in tools]
        self._holders = Counter(word for entry in self._entries for word in entry.counts)
        self._in_order = sorted(self._holders)
        self._mean = sum(entry.length for entry in self._entries) / max(1, len(self._entries))

    def best(self, query: str, *, server: str | None = None) -> list[Tool]:
        """The tools that fit, best first; of one server, if it is named. All of them, by name, if no word is asked for.

        A query that is a tool's name finds that tool first.
        """
        entries = [entry for entry in self._entries if server in (None, entry.tool.server)]
        asked = Counter(words(query)[:MAX_ASKED])
        if not asked:
            return sorted((entry.tool for entry in entries), key=lambda tool: tool.full_name)
        weights = [self._weights(word, times) for word, times in asked.items()]
        scored = [(self._score(entry, weights), entry.tool) for entry in entries]
        fitting = [(score, tool) for score, tool in scored if score > 0]
        exact = query.strip()
        fitting.sort(key=lambda item: (exact not in (item[1].full_name, item[1].name), -item[0], item[1].full_name))
        return [tool for _, tool in fitting]

    def _weights(self, word: str, times: int) -> dict[str, float]:
        """The words of tools that a word of the query stands for, and what each counts for."""
        if word in self._holders:
            return {word: times * self._rarity(word)}
        if len(word) < MIN_PART:
            return {}
        start = bisect_left(self._in_order, word)
        longer = takewhile(lambda held: held.startswith(word), islice(self._in_order, start, start + MAX_FORMS))
        return {held: PART * times * self._rarity(held) for held in longer}

    def _rarity(self, word: str) -> float:
        holders = self._holders[word]
        return math.log(1 + (len(self._entries) - holders + 0.5) / (holders + 0.5))

    def _score(self, entry: _Entry, weights: Sequence[Mapping[str, float]]) -> float:
        held_back = SATURATION * (1 - LENGTH + LENGTH * entry.length / (self._mean or 1))
        return math.fsum(
            max(
                (weight * _saturated(entry.counts.get(word, 0.0), held_back) for word, weight in forms.items()),
                default=0,
            )
            for forms in weights
        )


def _saturated(count: float, held_back: float) -> float:
    return count * (SATURATION + 1) / (count + held_back) if count else 0.0


def _entry(tool: Tool) -> _Entry:
    counts: defaultdict[str, float] = defaultdict(float)
    definition = tool.definition
    fields = (
        (NAME, tool.full_name),
        (TITLE, definition.get("title")),
        (TITLE, tool.annotations.get("title")),
        (TEXT, definition.get("description")),
        (TEXT, " ".join(_property_names(definition.get("inputSchema")))),
    )
    for weight, text in fields:
        for word in words(text[:MAX_TEXT]) if isinstance(text, str) else ():
            counts[word] += weight
    return _Entry(tool, counts, math.fsum(counts.values()))


def _property_names(schema: Any, depth: int = 0) -> list[str]:  # noqa: ANN401 - a server's schema may be anything
    """The names of an object's properties, and of theirs."""
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return []
    properties = schema.get("properties")
    found: list[str] = []
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        found += [str(name), *_property_names(inner, depth + 1)]
        if len(found) > MAX_PROPERTIES:
            break
    return [*found, *_property_names(schema.get("items"), depth + 1)]
