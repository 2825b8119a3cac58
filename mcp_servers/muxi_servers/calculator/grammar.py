"""Text of a formula to a tree. A grammar of its own: nothing of what a caller writes is ever given to Python.

    comparison := sum [("=" | "<" | "<=" | ">" | ">=" | "!=") sum]
    sum        := product (("+" | "-") product)*
    product    := signed (("*" | "/" | "%") signed)*
    signed     := ("-" | "+") signed | power
    power      := postfix [("^" | "**") signed]        # so 2^3^2 is 2^(3^2), and -2^2 is -(2^2)
    postfix    := atom "!"*
    atom       := number | name | name "(" comparison ("," comparison)* ")" | "(" comparison ")"

A tree is a tuple: `("number", "1.5")`, `("name", "x")`, `("call", "sin", [tree, ...])`, `("negate", tree)`,
`("factorial", tree)`, or `(operator, left, right)`.
"""

from __future__ import annotations

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Tree = tuple[Any, ...]

__all__ = ["COMPARISONS", "MAX_CHARACTERS", "parse"]

MAX_CHARACTERS = 4_000
MAX_TOKENS = 1_000
MAX_DEPTH = 50
MAX_DIGITS = 1_000
MAX_EXPONENT = 1_000
COMPARISONS = ("=", "<", "<=", ">", ">=", "!=")
_LONG = ("**", "<=", ">=", "!=", "==")
_SHORT = "+-*/%^()=<>!,"
_SAME = {"**": "^", "==": "="}
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS = frozenset("0123456789")
_MAX_NAME = 30


def parse(text: str) -> Tree:
    """The tree of a formula.

    Raises:
        ToolError: it is none; the text says where and what was expected.
    """
    if len(text) > MAX_CHARACTERS:
        raise ToolError(f"A formula has at most {MAX_CHARACTERS} characters, not {len(text)}.")
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Tree:
        if not self._tokens:
            raise ToolError("The formula is empty.")
        tree = self._comparison()
        if self._next < len(self._tokens):
            raise self._wrong("an operator", " (2x is written 2*x)")
        return tree

    def _comparison(self) -> Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ToolError(f"The formula nests deeper than {MAX_DEPTH} levels: name its parts with variables.")
        tree = self._sum()
        if self._peek() in COMPARISONS:
            tree = (self._take(), tree, self._sum())
        self._depth -= 1
        return tree

    def _sum(self) -> Tree:
        tree = self._product()
        while self._peek() in {"+", "-"}:
            tree = (self._take(), tree, self._product())
        return tree

    def _product(self) -> Tree:
        tree = self._signed()
        while self._peek() in {"*", "/", "%"}:
            tree = (self._take(), tree, self._signed())
        return tree

    def _signed(self) -> Tree:
        negative = False
        while self._peek() in {"-", "+"}:
            negative ^= self._take() == "-"
        tree = self._power()
        return ("negate", tree) if negative else tree

    def _power(self) -> Tree:
        base = self._postfix()
        if self._peek() != "^":
            return base
        self._take()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ToolError(f"The formula has more than {MAX_DEPTH} powers of powers.")
        tree = ("^", base, self._signed())
        self._depth -= 1
        return tree

    def _postfix(self) -> Tree:
        tree = self._atom()
        while self._peek() == "!":
            self._take()
            tree = ("factorial", tree)
        return tree

    def _atom(self) -> Tree:
        if self._peek() == "(":
            self._take()
            tree = self._comparison()
            self._expect(")")
            return tree
        token = self._peek()
        if not token or token[0] not in _LETTERS | _DIGITS | {"."}:
            raise self._wrong("a number, a name or (")
        self._take()
        if token[0] not in _LETTERS:
            return ("number", token)
        return ("call", token, self._arguments()) if self._peek() == "(" else ("name", token)

    def _arguments(self) -> list[Tree]:
        self._take()
        found = [self._comparison()]
        while self._peek() == ",":
            self._take()
            found.append(self._comparison())
        self._expect(")")
        return found

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._tokens[self._next][0]
        self._next += 1
        return token

    def _expect(self, token: str) -> None:
        if self._peek() != token:
            raise self._wrong(token)
        self._take()

    def _wrong(self, wanted: str, hint: str = "") -> ToolError:
        if self._next >= len(self._tokens):
            return ToolError(f"The formula ends where {wanted} was expected: {self._text[-40:]!r}.")
        token, at = self._tokens[self._next]
        return ToolError(f"At character {at + 1} of {self._text[:60]!r} is {token[:20]!r}, not {wanted}{hint}.")


def _tokens(text: str) -> list[tuple[str, int]]:
    """Each with where it begins."""
    found: list[tuple[str, int]] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token = _token(text, at)
        found.append((_SAME.get(token, token), at))
        at += len(token)
        if len(found) > MAX_TOKENS:
            raise ToolError(f"The formula has more than {MAX_TOKENS} parts: name some of them with variables.")
    return found


def _token(text: str, at: int) -> str:
    character = text[at]
    if character in _LETTERS:
        end = _end(text, at, _LETTERS | _DIGITS)
        if end - at > _MAX_NAME:
            raise ToolError(f"The name {text[at : at + 20]!r}... has more than {_MAX_NAME} characters.")
        return text[at:end]
    if character in _DIGITS or (character == "." and text[at + 1 : at + 2] in _DIGITS):
        return _number(text, at)
    if text[at : at + 2] in _LONG:
        return text[at : at + 2]
    if character in _SHORT:
        return character
    raise ToolError(f"Character {at + 1}, {character!r}, has no meaning in a formula.")


def _number(text: str, at: int) -> str:
    end = _end(text, at, _DIGITS)
    if text[end : end + 1] == ".":
        end = _end(text, end + 1, _DIGITS)
    exponent = end + 1 + (text[end + 1 : end + 2] in {"+", "-"})
    if text[end : end + 1] in {"e", "E"} and text[exponent : exponent + 1] in _DIGITS:
        last = _end(text, exponent, _DIGITS)
        if last - exponent > len(str(MAX_EXPONENT)) or int(text[exponent:last]) > MAX_EXPONENT:
            raise ToolError(f"The exponent of a number is at most {MAX_EXPONENT}.")
        end = last
    if end - at > MAX_DIGITS:
        raise ToolError(f"A number has at most {MAX_DIGITS} digits.")
    return text[at:end]


def _end(text: str, at: int, alphabet: frozenset[str]) -> int:
    while at < len(text) and text[at] in alphabet:
        at += 1
    return at
