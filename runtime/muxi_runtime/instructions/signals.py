"""Finds where signals add up to an instruction. One pass: the work is bounded by the words and the steps of the rules.

Of each rule it is remembered how far it has come and where: the latest place is the best one, since only distances
between neighbouring steps count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from muxi_runtime.instructions.lexicon import Is
from muxi_runtime.instructions.mentions import is_mentioned
from muxi_runtime.instructions.rules import COMMAND_WEIGHT, ENOUGH, RULES, Needs, Step
from muxi_runtime.instructions.tokens import Token, may_hold, tokens

__all__ = ["PLAIN", "Hit", "Hits", "hits"]

NEAR = 40
"""Words within which signals add up."""
COMMAND = "command"
PLAIN = frozenset({COMMAND, "must", "task", "answer"})
"""What people say to each other as well: alone they are no hit."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Signals that add up.

    Attributes:
        first: where the first word of them stands, as text and place there.
        last: where the last one ends.
        rules: their names.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    rules: frozenset[str]


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found.

    Attributes:
        hits: in their order.
        orders: places of commands and of signals of any weight, in their order.
    """

    hits: Sequence[Hit]
    orders: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Begun:
    first: tuple[int, int]
    number: int


@dataclass(frozen=True, slots=True)
class _Signal:
    weight: int
    first: tuple[int, int]
    number: int


@cache
def _steps(kinds: frozenset[Is]) -> Sequence[tuple[int, int, Step]]:
    """What a word of these classes may be: number of the rule, place in it, the step.

    Later steps come first: one word is not two steps of a rule.
    """
    found = [
        (number, place, step)
        for number, rule in enumerate(RULES)
        for place, step in enumerate(rule.steps)
        if not step.kinds.isdisjoint(kinds)
    ]
    return sorted(found, key=lambda one: -one[1])


def hits(texts: Sequence[str]) -> Hits:
    """All hits in texts that are read one after another."""
    if not may_hold(texts):
        return Hits((), ())
    scan = _Scan(texts)
    for token in tokens(texts):
        scan.take(token)
    return Hits(scan.hits, scan.orders)


class _Scan:
    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._begun: list[list[_Begun | None]] = [[None] * len(rule.steps) for rule in RULES]
        self._signals: dict[str, _Signal] = {}
        self.hits: list[Hit] = []
        self.orders: list[tuple[int, int]] = []

    def take(self, token: Token) -> None:
        """The next word."""
        for number, place, step in _steps(token.kinds):
            begun = self._reach(number, place, step, token)
            if begun is None:
                continue
            rule = RULES[number]
            if place + 1 == len(rule.steps):
                self._signal(rule.name, rule.weight, begun.first, token)
            else:
                self._begun[number][place] = begun
        if Is.ACT in token.kinds and token.commands:
            self._signal(COMMAND, COMMAND_WEIGHT, (token.text, token.start), token)

    def _reach(self, number: int, place: int, step: Step, token: Token) -> _Begun | None:
        first = (token.text, token.start)
        if place:
            before = self._begun[number][place - 1]
            if before is None or not 0 < token.number - before.number <= step.within:
                return None
            first = before.first
        return _Begun(first, token.number) if _meets(token, step.needs) else None

    def _signal(self, name: str, weight: int, first: tuple[int, int], token: Token) -> None:
        if weight > COMMAND_WEIGHT and self._is_mentioned(first, token):
            return
        self.orders.append(first)
        known = self._signals.get(name)
        if known is not None and known.weight > weight and token.number - known.number <= NEAR:
            weight, first = known.weight, known.first
        self._signals[name] = _Signal(weight, first, token.number)
        near = {name: one for name, one in self._signals.items() if token.number - one.number <= NEAR}
        self._signals = near
        if sum(one.weight for one in near.values()) >= ENOUGH and not near.keys() <= PLAIN:
            last = (token.text, token.end)
            # A plain command before them is not theirs; nor is anything, where one is enough by itself.
            own = {
                name: one for name, one in near.items() if name != COMMAND and (weight < ENOUGH or one.first == first)
            }
            self.hits.append(Hit(min(one.first for one in own.values()), last, frozenset(own)))
            self._signals = {}

    def _is_mentioned(self, first: tuple[int, int], token: Token) -> bool:
        index, start = first
        return index == token.text and is_mentioned(self._texts[index], start, token.end)


def _meets(token: Token, needs: Needs) -> bool:
    if not needs:
        return True
    if needs is Needs.COMMAND:
        return token.commands
    if needs is Needs.CALL:
        return token.calls
    if needs is Needs.TAGGED:
        return _is_tagged(token)
    if needs is Needs.BRACKETED:
        return token.before == "[" and token.after == "]"
    return token.after == ("," if needs is Needs.COMMA else ":") and (needs is Needs.COMMA or token.commands)


def _is_tagged(token: Token) -> bool:
    """In the brackets of markup: `<system>`, `[INST]`, `<|system|>`, `### system:`. Logs write `[system]`, too."""
    if token.before == "#":
        return token.after == ":"
    if token.before == "[":
        return token.after == "]" and Is.SYSTEM not in token.kinds
    return token.before in {"<", "|", "/"} and token.after in {">", "]", "|", "_", "-"}
