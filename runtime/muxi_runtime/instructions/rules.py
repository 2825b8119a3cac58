"""What speaks to a model: sequences of words, each a signal of some weight. See `signals` for how they add up.

A rule is a sequence of steps. A step is classes of which a word has one, and how many words on it may stand; a word
in between may be anything. `COMMAND` asks that the word can be a command there, `CALL` that a clause ends behind it,
`TAGGED` that brackets stand around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from muxi_runtime.instructions.lexicon import Is

__all__ = ["COMMAND_WEIGHT", "ENOUGH", "RULES", "Needs", "Rule", "Step"]

ENOUGH = 3
STRONG = 3
CUE = 2
SOFT = 1
COMMAND_WEIGHT = 1
"""Of a plain command, which everything is full of: it only counts beside others."""


class Needs(IntFlag):
    """What a word has to be beside its class."""

    NOTHING = 0
    COMMAND = 1
    CALL = 2
    TAGGED = 4
    COMMA = 8
    LABEL = 16
    BRACKETED = 32


@dataclass(frozen=True, slots=True)
class Step:
    """One word of a rule.

    Attributes:
        kinds: it has one of these.
        within: it stands at most so many words after the one before.
    """

    kinds: frozenset[Is]
    within: int
    needs: Needs


@dataclass(frozen=True, slots=True)
class Rule:
    """One signal.

    Attributes:
        name: in the journal. Signals of one name count once.
    """

    name: str
    weight: int
    steps: tuple[Step, ...]


def _rule(name: str, weight: int, *steps: Is | tuple[object, ...]) -> Rule:
    return Rule(name, weight, tuple(map(_step, steps)))


def _step(said: Is | tuple[object, ...]) -> Step:
    parts = said if isinstance(said, tuple) else (said,)
    kinds = frozenset(part for part in parts if isinstance(part, Is))
    within = next((part for part in parts if isinstance(part, int) and not isinstance(part, Needs)), 3)
    needs = next((part for part in parts if isinstance(part, Needs)), Needs.NOTHING)
    return Step(kinds, within, needs)


_COMMAND, _CALL, _COMMA, _LABEL = Needs.COMMAND, Needs.CALL, Needs.COMMA, Needs.LABEL
_TAGGED, _BRACKETED = Needs.TAGGED, Needs.BRACKETED

_OWN = (Is.TIME, Is.YOUR, Is.USER)

RULES = (
    _rule("override", STRONG, (Is.OVERRIDE, _COMMAND), (Is.TIME, Is.YOUR, 5), (Is.RULE, 4)),
    _rule("override", STRONG, (Is.OVERRIDE, _COMMAND), (Is.RULE, 5), (Is.TIME, 6)),
    _rule(
        "override", STRONG, (Is.NOT, _COMMAND), (Is.FOLLOW, 2), (Is.TIME, Is.YOUR, Is.USER, 4), (Is.RULE, Is.WANT, 4)
    ),
    _rule("override", STRONG, (Is.STOP, _COMMAND), (Is.FOLLOW, 2), (Is.TIME, Is.YOUR, 4), (Is.RULE, 4)),
    _rule("override", STRONG, (Is.NOT, _COMMAND), (Is.FOLLOW, 2), (Is.RULE, 3), (Is.TIME, 3)),
    _rule("override", STRONG, (Is.OVERRIDE, _COMMAND), (Is.RULE, 5), (Is.TOLD, 5), (Is.YOU, 3)),
    _rule("override", STRONG, Is.RULE, (Is.TOLD, 2), (Is.YOU, 3), (Is.VOID, 8)),
    _rule("override", CUE, (Is.OVERRIDE, _COMMAND), (Is.THING, 2), (Is.TOLD, Is.TIME, 6)),
    _rule("override", CUE, Is.THING, (Is.TIME, 2), (Is.VOID, 9)),
    _rule("override", CUE, Is.YOUR, (Is.TIME, 2), (Is.RULE, 2), (Is.VOID, 5)),
    _rule("override", CUE, (Is.OVERRIDE, _COMMAND), (Is.TEXT, 3), (Is.TIME, 2)),
    _rule("override", SOFT, (Is.OVERRIDE, _COMMAND), (Is.ALL, 3), (Is.RULE, 3)),
    _rule("address", STRONG, Is.GREET, (Is.SURE, 4, _CALL)),
    _rule("address", STRONG, (Is.TO, _COMMAND), (Is.SURE, 4), (Is.THAT, 1), (Is.READ, 3)),
    _rule("address", STRONG, (Is.TO, _COMMAND), (Is.SURE, 4), (Is.READING, 3)),
    _rule("address", STRONG, (Is.TO, _COMMAND), (Is.SURE, 3, _CALL)),
    _rule("address", STRONG, Is.IF, (Is.YOU, 1), (Is.ARE, 1), (Is.SURE, 3)),
    _rule("address", STRONG, Is.IF, (Is.YOU, 1), (Is.SURE, 3), (Is.ARE, 1)),
    _rule("address", STRONG, Is.IF, (Is.ARE_YOU, 2), (Is.SURE, 3)),
    _rule("address", STRONG, (Is.YOU, _COMMA), (Is.SURE, 3)),
    _rule("address", STRONG, Is.SURE, (Is.READING, 3), (Is.THIS, 2)),
    _rule("address", STRONG, Is.SURE, (Is.THAT, 3), (Is.READ, Is.READING, 3), (Is.THIS, 2)),
    _rule("address", STRONG, Is.IF, (Is.SURE, 3), (Is.READ, 1), (Is.THIS, 2)),
    _rule("address", STRONG, Is.RULE, (Is.TO, 2), (Is.SURE, 3, _CALL)),
    _rule("address", CUE, (Is.SURE, _COMMA), (Is.ACT, 2, _COMMAND)),
    _rule("address", STRONG, Is.SURE, (Is.THIS, 5), (Is.READ, 3)),
    _rule("address", STRONG, Is.READ, (Is.THIS, 1), (Is.SURE, 3)),
    _rule("address", CUE, Is.MODEL, (Is.READING, 3), (Is.THIS, 2)),
    _rule("address", CUE, Is.MODEL, (Is.THAT, 1), (Is.READ, 2), (Is.THIS, 2)),
    _rule("address", CUE, (Is.AS, _COMMAND), (Is.SURE, 5), (Is.YOU, 3)),
    _rule("address", CUE, Is.SURE, (Is.MUST, 3), (Is.ACT, 4)),
    _rule("address", SOFT, Is.GREET, (Is.MODEL, 4, _CALL)),
    _rule("address", SOFT, Is.MODEL, (Is.MUST, 3), (Is.ACT, 4)),
    _rule("tag", CUE, (Is.TAG, _TAGGED)),
    _rule("tag", SOFT, (Is.SYSTEM, _BRACKETED)),
    _rule("tag", CUE, Is.FRAME, (Is.SYSTEM, 1), (Is.MESSAGE, 1)),
    _rule("system", SOFT, (Is.SYSTEM, _COMMAND), (Is.MESSAGE, 3, _CALL)),
    _rule("system", SOFT, (Is.SYSTEM, _LABEL)),
    _rule("system", CUE, Is.SYSTEM, (Is.MESSAGE, 2), (Is.SURE, Is.MODEL, 6)),
    _rule("system", STRONG, (Is.SHOW, _COMMAND), (Is.YOUR, 2), (Is.SYSTEM, 2), (Is.PROMPT, 1)),
    _rule("role", STRONG, Is.YOU, (Is.ARE, 1), (Is.NOW, 2), (Is.SURE, 6)),
    _rule("pretend", CUE, (Is.PRETEND, _COMMAND), (Is.SURE, 7)),
    _rule("role", CUE, (Is.SURE, Is.MODEL), (Is.WITHOUT, 4), (Is.LIMIT, 3)),
    _rule("role", CUE, Is.WITHOUT, (Is.LIMIT, 2), (Is.SURE, Is.MODEL, 3)),
    _rule("role", CUE, Is.YOU, (Is.ARE, 1), (Is.SURE, 4)),
    _rule("role", SOFT, Is.YOU, (Is.ARE, 2), (Is.MODEL, 5)),
    _rule("pretend", SOFT, (Is.PRETEND, _COMMAND), (Is.MODEL, 7)),
    _rule("turn", CUE, Is.BEFORE, (Is.YOU, 1), (Is.ANSWER, Is.WORK, 4), (Is.USER, 5)),
    _rule("turn", CUE, (Is.BEFORE, Is.AFTER), (Is.ANSWER, Is.WORK, 1), (Is.USER, 6)),
    _rule("task", SOFT, Is.BEFORE, (Is.YOU, 1), (Is.ANSWER, Is.WORK, 4)),
    _rule("task", SOFT, Is.BEFORE, (Is.USER, 3), (Is.ANSWER, 2)),
    _rule("task", SOFT, Is.IF, (Is.YOU, 1), (Is.READ, Is.ANSWER, 2)),
    _rule("task", SOFT, Is.YOUR, (Is.NEW, 1), (Is.RULE, 2)),
    _rule("task", SOFT, Is.YOUR, (Is.RULE, 2), (Is.NEW, Is.VOID, 3)),
    _rule("turn", CUE, Is.YOUR, (Is.ANSWER, 2), (Is.USER, 3)),
    _rule("answer", SOFT, Is.YOUR, (Is.ANSWER, 2)),
    _rule("wish", SOFT, Is.USER, (Is.WANT, 4), (Is.YOU, 5), (Is.TO, Is.ACT, 1)),
    _rule("user", SOFT, (Is.TELL, _COMMAND), (Is.USER, 3)),
    _rule("user", SOFT, (Is.NOT, Is.WITHOUT), (Is.TELL, 3), (Is.USER, 5)),
    _rule("unasked", SOFT, Is.WITHOUT, (Is.ASK, 2), (Is.USER, 3)),
    _rule("confirmed", SOFT, Is.USER, (Is.CONFIRMED, 4)),
    _rule("must", SOFT, Is.YOU, (Is.MUST, 2), (Is.ACT, 4)),
)
"""Names and weights; `must` stands for a command too, see `signals`."""
