"""The words of several texts, one after another, with what the rules need to know of each. Linear in the texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from muxi_runtime.instructions.folding import FILLER, fold
from muxi_runtime.instructions.lexicon import AI_GOES_ON, BEFORE_COMMAND, CHINESE, WORDS, Is

__all__ = ["NEEDED", "Token", "may_hold", "tokens"]

_HAN = "\u3400-\u9fff"
_WORD = re.compile(
    "|".join(
        (
            *map(re.escape, CHINESE),
            f"[{_HAN}]",
            # Letters that are set apart, as in i.g.n.o.r.e
            rf"(?<![^\W_])[^\W_{_HAN}]([ ._*-])[^\W_{_HAN}](?:\1[^\W_{_HAN}])+(?![^\W_])",
            rf"[^\W_{_HAN}]+(?:['\u2019][^\W_{_HAN}]+)?",
        )
    )
)
_BREAK = re.compile(r"[.!?\u3002](?:\s|$)|\n\s*\n")
_CLAUSE = frozenset("=&.!?:;,\n\"'\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb()[]>*-\u2013\u2014#`|@\u2022\u3001\u3002")
_CALLING = frozenset("<:,!;-\u2013\u2014.]>\n*\u3002\u3001")
_ESCAPED = re.compile(r"\\[ntr]")
_LEET = str.maketrans("01345$", "oieass")
NOTHING: frozenset[Is] = frozenset()
_AFTER_BREAK = 2
_SHORTEST_LEET = 4
"""1a is a number of a house."""
_RECENT = 4
_LOOKAHEAD = 3
_LONGEST_GAP = 200
_OPENS = frozenset("</")
NEEDED = frozenset({Is.OVERRIDE, Is.FOLLOW, Is.VOID, Is.AI, Is.MODEL, Is.SURE, Is.TAG, Is.SYSTEM, Is.USER})
"""Every rule that can be part of a hit wants a word of one of these."""
_NEEDED_WORDS = frozenset(word for word, kinds in WORDS.items() if not NEEDED.isdisjoint(kinds))
_PLAIN_WORD = re.compile(r"[^\W_]+")
_SET_APART = re.compile(r"(?<![^\W_])[^\W_][ ._*-][^\W_][ ._*-][^\W_](?![^\W_])")
_ANY_HAN = re.compile(f"[{_HAN}]")
_LOOKED_AT = frozenset({Is.AI, Is.LANGUAGE, Is.MODEL})
_FIRST_HAN = "\u3000"
"""In scripts from there on a command has no form of its own."""


@dataclass(slots=True)
class Token:
    """A word that a rule may want.

    Attributes:
        kinds: its classes.
        text: which of the texts it is in; `start` and `end` are there.
        number: how many words there are before it; ends of sentences count too.
        commands: whether a verb here can be a command.
        calls: whether it ends a clause, as a name that somebody is called by.
        before: the character before it; empty at the beginning.
        after: the character behind it; empty at the end.
    """

    kinds: frozenset[Is]
    text: int
    start: int
    end: int
    number: int
    commands: bool
    calls: bool
    before: str
    after: str
    word: str = ""


def may_hold(texts: Sequence[str]) -> bool:
    """Whether there is any word that an instruction needs: quick, and sometimes wrongly yes."""
    return any(_may_hold(_readable(text)) for text in texts)


def _may_hold(folded: str) -> bool:
    words = set(_PLAIN_WORD.findall(folded.replace(FILLER, "") if not folded.isascii() else folded))
    if not _NEEDED_WORDS.isdisjoint(words) or _SET_APART.search(folded) or _ANY_HAN.search(folded):
        return True
    return any(word.translate(_LEET) in _NEEDED_WORDS for word in words if not word.isalpha() and not word.isdigit())


def tokens(texts: Sequence[str]) -> Iterator[Token]:
    """Those of any class, in their order."""
    held: list[Token] = []
    for token in _all(texts):
        held.append(token)
        if len(held) == _LOOKAHEAD:
            _named(held)
            if held[0].kinds:
                yield held[0]
            del held[0]
    while held:
        _named(held)
        if held[0].kinds:
            yield held[0]
        del held[0]


def _all(texts: Sequence[str]) -> Iterator[Token]:
    """Words of any class, and what stands right behind one that `_named` looks at."""
    reading = _Reading()
    for index, text in enumerate(texts):
        folded = _readable(text)
        reading.begin()
        for match in _WORD.finditer(folded):
            token = reading.take(match, index, folded)
            if token is not None:
                yield token


class _Reading:
    """Where the reader is."""

    def __init__(self) -> None:
        self._number = 0
        self._last = 0
        self._word = ""
        self._you = -_RECENT
        self._looking = -_RECENT

    def begin(self) -> None:
        """Another text."""
        self._last, self._word = 0, ""

    def take(self, match: re.Match[str], index: int, folded: str) -> Token | None:
        """The next word, if it is of any matter."""
        found = match[0]
        kinds = WORDS.get(found, NOTHING) if found.isalpha() else None
        start, end = match.span()
        if not (kinds and Is.TAG in kinds) and folded[start - 1 : start] in _OPENS and _names_tag(folded, start):
            return None
        word = found
        if kinds is None or (not kinds and not found.isascii()):
            word = _plain(found)
            kinds = _kinds(word)
        last, before = self._last, self._word
        self._last, self._word = end, word
        is_broken = start - last > 1 and last > 0 and _BREAK.search(folded, last, start) is not None
        self._number += 1 + (_AFTER_BREAK if is_broken else 0)
        if Is.YOU in kinds:
            self._you = self._number
        if not _LOOKED_AT.isdisjoint(kinds):
            self._looking = self._number
        elif not kinds and self._number - self._looking >= _LOOKAHEAD:
            return None
        return Token(
            kinds=kinds,
            text=index,
            start=start,
            end=end,
            number=self._number,
            commands=self._commands(folded, last, start, before) or found[0] > _FIRST_HAN,
            calls=_calls(folded, end),
            before=_before(folded, start),
            after=folded[end : end + 1],
            word=word,
        )

    def _commands(self, folded: str, last: int, start: int, before: str) -> bool:
        if last == 0 or before in BEFORE_COMMAND:
            return True
        if before == "to" and self._number - self._you <= _RECENT:
            return True
        if start - last == 1:
            return folded[last] in _CLAUSE
        return folded[start - 1] not in _OPENS and not _CLAUSE.isdisjoint(folded[last:start][:_LONGEST_GAP])


def _calls(folded: str, end: int) -> bool:
    after = folded[end : end + 2].lstrip(" ")[:1] or folded[end : end + 1]
    return not after or after in _CALLING


def _before(text: str, start: int) -> str:
    near = text[max(0, start - 2) : start]
    return "#" if near == "# " else near[-1:]


def _names_tag(text: str, start: int) -> bool:
    """Whether the word at `start` is the name of an element: markup between words parts none."""
    before = text[start - 1 : start]
    return before == "<" or (before == "/" and text[start - 2 : start - 1] == "<")


def _readable(text: str) -> str:
    folded = fold(text)
    return _ESCAPED.sub("  ", folded) if "\\" in folded else folded


def _plain(found: str) -> str:
    word = found.replace(FILLER, "").replace("\u2019", "'") or found
    if not word.isalnum() and "'" not in word:
        word = re.sub(r"[ ._*-]", "", word)
    return word


def _kinds(word: str) -> frozenset[Is]:
    kinds = WORDS.get(word)
    if kinds is None and "'" in word:
        before, _, behind = word.partition("'")
        kinds = WORDS.get(before if behind == "s" else behind)
    if kinds is None and len(word) >= _SHORTEST_LEET and not word.isalpha() and not word.isdigit():
        kinds = WORDS.get(word.translate(_LEET))
    return kinds or NOTHING


def _named(held: list[Token]) -> None:
    """Tell what is surely a model from what may be an estate agent or a model of a car."""
    first, rest = held[0], held[1:]
    if Is.AI in first.kinds and Is.SURE not in first.kinds:
        beside = rest[0] if rest else None
        if beside is not None and beside.text == first.text and beside.number == first.number + 1:
            if Is.MODEL in beside.kinds:
                beside.kinds |= {Is.SURE}
                first.kinds = NOTHING
                return
            if first.after == " " and beside.word not in AI_GOES_ON and not beside.word.isdigit():
                first.kinds = NOTHING  # an adjective, as of a company
                return
        first.kinds |= {Is.SURE}
    elif Is.LANGUAGE in first.kinds and rest and Is.MODEL in rest[0].kinds:
        rest[0].kinds |= {Is.SURE}
    elif Is.MODEL in first.kinds and any(
        not {Is.AI, Is.LANGUAGE}.isdisjoint(token.kinds) and token.number - first.number <= 2  # noqa: PLR2004
        for token in rest
    ):
        last = next(token for token in rest if not {Is.AI, Is.LANGUAGE}.isdisjoint(token.kinds))
        first.kinds |= {Is.SURE}
        first.calls, first.after = first.calls or last.calls, last.after
