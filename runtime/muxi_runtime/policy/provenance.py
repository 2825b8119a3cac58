"""Where the values of a call's arguments come from: the user's words, records, or what strangers wrote. Pure.

A model that obeys an instruction hidden in a web page calls tools with values from that page: an account, an address,
a link. A task's ledger keeps what the user said and what tools gave back, and tells of each argument which of them
holds it. It compares text, and claims no more: what a model writes in words of its own has the origin `model`.

    plain       says nothing: true, false, null, an empty text, 0 or 1
    user        the user's own words hold it
    record      a result holds it in a field that the service itself fills, or in a result that strangers cannot write
    both        as `record`, or a short one of the user's words, and text that strangers can write names it too
    stranger    only text that strangers can write holds it
    invented    an address, a link or an identifier that is found nowhere
    model       words or a number that are found nowhere: an answer, a summary, a sum
    carried     a longer text that carries an address or an identifier which only private records hold

A longer text has the worst origin of the addresses and identifiers in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypeAlias, get_args

__all__ = ["KEYS", "ORIGINS", "Ledger", "Origin", "worst"]

Origin: TypeAlias = Literal["plain", "user", "record", "model", "carried", "both", "invented", "stranger"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
"""From the best to the worst: a text of several parts has the worst of theirs."""

MAX_CHARACTERS = 2 * 1024 * 1024
"""Of all results that one ledger keeps. What it was not told of may hold anything, so a full one vouches for less."""
MAX_USER_CHARACTERS = 64 * 1024
"""Of the user's words; what is beyond vouches for nothing."""
MAX_VALUES = 200
"""Values of one call, and addresses of one value, that are looked up; the rest counts as a stranger's."""
MAX_LOOKUPS = 300
"""Of one call in all: each may read all that was kept."""

KEYS = "(keys)"
"""Among the record fields of a tool: its results are objects whose names of fields the service itself fills."""

_CODE_LENGTH = 8
"""From so many letters and digits on, spaces and hyphens inside of a code (an IBAN, a card's number) do not count."""
_TELLING = 4
"""A value of fewer letters and digits that the user and strangers both wrote may be there by chance: 13, a file's id
or the day of a month."""
_TRIES = 50
_MAX_CODE = 64
_EXACT = 2**63
"""Whole numbers of more bits are written in hexadecimal: Python takes too long for their decimal digits."""

_SPACE = re.compile(r"\s+")
_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_EDGES = " \t\n\"'`.,;:!?()[]{}<>*\u201c\u201d\u2018\u2019"
_SCHEME = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://")
_PARAMETER = re.compile(r"[A-Za-z][\w-]{0,63}|", re.ASCII)
_MOST_DIGITS = 4
_NOT_CODE = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_DATE = re.compile(r"\d{1,4}[-/.:]\d{1,2}(?:[-/.:]\d{1,4})?(?:[ t]\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?z?)?")
_DATE_PARTS = re.compile(r"[ t]")
_TOKENS = re.compile(r"[^\s<>\"'()\[\]{},;|]+")
# What names a place or a thing rather than describes: a mail address, a host or a file, a path, a code with digits.
_ADDRESS = re.compile(
    r"""
      [^@]*@.+
    | (?:[\w-]{1,63}\.)+[^\W\d_][\w-]{1,62}(?::\d{1,5})?(?:[/?\#].*)?
    | (?:~|\.{1,2})?/.+
    | (?=[^\W_]*\d)(?=\d*[^\W\d_])[\w-]{6,}
    | \d{8,}
    | (?:\d-?){10,}\d
    """,
    re.VERBOSE,
)
_CODE = re.compile(r"[^\W_]+(?:[\s-][^\W_]+)*")
# What, before or behind a match, makes it a part of a longer word or of another address.
_LETTER = re.compile(r"[^\W_]")
_WORD_EDGES = (_LETTER, _LETTER)
_ADDRESS_EDGES = (re.compile(r"[\w@/~+%&=#?.:-]"), re.compile(r"[\w@~+%&=-]|[.:/?#](?=\w)"))


def worst(origins: Iterable[Origin]) -> Origin:
    """The worst of some origins; `plain` of none."""
    return max((*origins, "plain"), key=ORIGINS.index)


class Ledger:
    """What one task has been told, by origin. Grows with the results; not safe for several threads."""

    def __init__(self, max_characters: int = MAX_CHARACTERS) -> None:
        self._left = max_characters
        self._left_of_user = MAX_USER_CHARACTERS
        self._full = False
        self._lookups_left = MAX_LOOKUPS
        self._user = _Texts()
        self._records = _Texts()
        self._private = _Texts()
        self._strangers = _Texts()
        self._fields: set[str] = set()
        self._private_fields: set[str] = set()

    @property
    def full(self) -> bool:
        """Whether a result was too much to keep."""
        return self._full

    def missed(self) -> None:
        """Something was returned that this was not told of."""
        self._full = True

    def told_by_user(self, text: str) -> None:
        """Keep words of the user's own."""
        kept = text[: max(0, self._left_of_user)]
        self._left_of_user -= len(kept)
        self._user.add(kept)

    def returned(
        self,
        result: Any,  # noqa: ANN401 - JSON
        *,
        untrusted: bool,
        private: bool = False,
        records: Collection[str] = (),
    ) -> None:
        """Keep a result (JSON values).

        Args:
            result: as the tool gave it.
            untrusted: whether it can hold text that strangers wrote.
            private: whether it is data that must not get out.
            records: of an untrusted one, the names of the fields that the service itself fills or checks: ids,
                senders, amounts. They vouch for themselves as a whole, not for parts of them. `*` stands for all,
                also for values that have no field.
        """
        for name, value in _leaves(result):
            text = value if isinstance(value, str) else _number_text(value)
            self._left -= len(text)
            if self._left < 0:
                self._full = True
                return
            if not untrusted:
                (self._private if private else self._records).add(text)
            elif name in records or "*" in records:
                (self._private_fields if private else self._fields).add(_normal(text))
            elif name != KEYS or text not in records:
                self._strangers.add(text)

    def origins(self, arguments: Mapping[str, Any]) -> dict[str, Origin]:
        """The origin of each value, by its path: `to`, `options/depth`, `files/0`."""
        self._lookups_left = MAX_LOOKUPS
        found: dict[str, Origin] = {}
        for number, (path, value) in enumerate(islice(_paths(arguments), MAX_VALUES + 1)):
            origin = self._origin(value) if number < MAX_VALUES else "stranger"
            found[path] = worst((found.get(path, "plain"), origin))
        return found

    def _origin(self, value: object) -> Origin:
        if value is None or isinstance(value, bool) or value in ("", 0, 1):
            return "plain"
        if isinstance(value, int | float):
            return self._lookup(_number_text(value), number=value)
        return self._text_origin(str(value))

    def _text_origin(self, value: str) -> Origin:
        text = _normal(value)
        if not text:
            return "plain"
        whole = self._lookup(text)
        if whole != "model":
            return whole
        if _DATE.fullmatch(text):
            return worst(self._lookup(part) for part in _DATE_PARTS.split(text))
        addresses = set(_addresses(text))
        if len(addresses) > MAX_VALUES:
            return "stranger"
        return worst([whole, *map(self._address_origin, addresses)])

    def _address_origin(self, address: str) -> Origin:
        origin = self._lookup(address)
        if origin == "record" and not self._is_public(address):
            return "carried"
        return "invented" if origin == "model" else origin

    def _is_public(self, text: str) -> bool:
        return text in self._fields or self._records.vouch_for(text, None)

    def _lookup(self, text: str, number: float | None = None) -> Origin:
        """Of one value as a whole; `model` if nothing holds it."""
        self._lookups_left -= 1
        if self._lookups_left < 0:
            return "stranger"
        stranger = self._strangers.mention(text, number)
        if self._user.vouch_for(text, number):
            return "both" if stranger and len(_code(text)) < _TELLING else "user"
        if self._is_record(text, number):
            return "both" if stranger else "record"
        # A result that was not kept may have been a stranger's.
        return "stranger" if stranger or self._full else "model"

    def _is_record(self, text: str, number: float | None) -> bool:
        in_fields = text in self._fields or text in self._private_fields
        return in_fields or self._records.vouch_for(text, number) or self._private.vouch_for(text, number)


class _Texts:
    """Texts of one origin, in the forms in which values are looked up."""

    def __init__(self) -> None:
        self._new: list[str] = []
        self._words = "\n"
        self._codes = "\n"
        self._numbers: set[float] = set()

    def add(self, text: str) -> None:
        self._new.append(text)

    def vouch_for(self, text: str, number: float | None) -> bool:
        """Whether it is there, and not as a part of something else: `b.org` is no part of `a-b.org`."""
        self._take_in()
        if number is not None:
            return number in self._numbers
        edges = _ADDRESS_EDGES if _ADDRESS.fullmatch(text) else _WORD_EDGES
        return _holds(self._words, text, *edges) or self._holds_code(text)

    def mention(self, text: str, number: float | None) -> bool:
        """Whether it is there in any form."""
        self._take_in()
        if number is not None:
            return number in self._numbers
        if _ADDRESS.fullmatch(text) and text in self._words:
            return True
        code = _code(text)
        is_code = len(code) >= _CODE_LENGTH and any(map(str.isdigit, code))
        return (is_code and code in self._codes) or _holds(self._words, text, *_WORD_EDGES)

    def _holds_code(self, text: str) -> bool:
        code = _code(text)
        if not (_CODE_LENGTH <= len(code) <= _MAX_CODE and any(map(str.isdigit, code)) and _CODE.fullmatch(text)):
            return False
        return re.search(rf"(?<![\w@/.-]){'[ -]?'.join(code)}(?![\w@/-])", self._words) is not None

    def _take_in(self) -> None:
        """What is new, all at once: most tasks are told more often than they are asked."""
        if not self._new:
            return
        texts = list(map(_normal, self._new))
        self._new.clear()
        self._words = "\n".join([self._words, *texts, ""])
        self._codes = "\n".join([self._codes, *map(_code, texts), ""])
        for text in texts:
            self._numbers.update(_numbers(text))


def _holds(texts: str, phrase: str, before: re.Pattern[str], behind: re.Pattern[str]) -> bool:
    """Whether it is there, with nothing beside it that would make it a part of something longer."""
    begin = texts.find(phrase)
    for _ in range(_TRIES):
        if begin < 0:
            return False
        if not (before.match(texts, begin - 1) or behind.match(texts, begin + len(phrase))):
            return True
        begin = texts.find(phrase, begin + 1)
    # It is a part of very many: one search in C is faster from here on.
    whole = rf"(?<!{before.pattern}){re.escape(phrase)}(?!{behind.pattern})"
    return re.search(whole, texts) is not None


def _addresses(text: str) -> Iterator[str]:
    """What names places and things in a text of words."""
    for found in _TOKENS.finditer(text):
        token = found[0].strip(_EDGES)
        if token and _ADDRESS.fullmatch(token) and not _DATE.fullmatch(token):
            yield token


def _normal(text: str) -> str:
    """As it is compared: one form of each character, small letters, single spaces, without hidden ones or edges."""
    if not text.isascii():
        text = _HIDDEN.sub("", unicodedata.normalize("NFKC", text))
    return _SPACE.sub(" ", _SCHEME.sub("", text.casefold())).strip(_EDGES).rstrip("/")


def _code(text: str) -> str:
    return _NOT_CODE.sub("", text)


def _numbers(text: str) -> Iterator[float]:
    for found in _NUMBER.finditer(text):
        yield float(found[0].replace(",", ""))


def _number_text(value: float) -> str:
    """One text for each number, whether it came as `5` or `5.0`."""
    if value % 1 != 0:  # also infinity and NaN
        return repr(value)
    return str(int(value)) if abs(value) < _EXACT else hex(int(value))


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, str | float]]:
    """Each text and number with the name of its field; names of fields are texts of the field `(keys)`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield KEYS, str(key)
            yield from _leaves(item, str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _leaves(item, name)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield name, value


def _paths(value: object, path: str | None = None) -> Iterator[tuple[str, object]]:
    """Each value with its path, in the form that rules use; and each name that is none of a parameter's, as a value."""
    if isinstance(value, Mapping):
        steps: Iterable[tuple[str, object]] = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        steps = ((str(index), item) for index, item in enumerate(value))
    else:
        yield path or "", value
        return
    for step, item in steps:
        escaped = step.replace("~", "~0").replace("/", "~1")
        inner = escaped if path is None else f"{path}/{escaped}"
        if isinstance(value, Mapping) and not _is_parameter(step):
            yield inner, step
        yield from _paths(item, inner)


def _is_parameter(name: str) -> bool:
    """Whether it looks like what authors of tools call a parameter, and not like an address or words to carry out."""
    return _PARAMETER.fullmatch(name) is not None and sum(map(str.isdigit, name)) <= _MOST_DIGITS
