"""Text as its reader takes it: letters that look like others become those, one character for one.

Places in the folded text are places in the text itself. Folded are case, widths and styles of letters (Unicode's
compatibility decomposition), accents, and letters of other scripts that look like Latin ones.
"""

from __future__ import annotations

import unicodedata

__all__ = ["FILLER", "fold"]

FILLER = "\u02bb"
"""Stands for an accent of its own: a letter, so that it parts no word, and dropped where words are compared."""

_ALIKE = {
    "a": "\u0430\u03b1\u0251\u1d00",
    "b": "\u0412\u0432\u0392\u0299",
    "c": "\u0441\u0421\u03f2\u1d04",
    "d": "\u0501\u0257\u1d05",
    "e": "\u0435\u0415\u0395\u04bd\u1d07\u212e",
    "g": "\u0261\u0581\u0262",
    "h": "\u04bb\u041d\u043d\u0397\u029c",
    "i": "\u0456\u0406\u0399\u03b9\u0131\u026a\u04cf",
    "j": "\u0458\u0408\u1d0a",
    "k": "\u043a\u041a\u039a\u03ba\u1d0b",
    "l": "\u04c0\u029f\u01c0",
    "m": "\u043c\u041c\u039c\u1d0d",
    "n": "\u039d\u0578\u0274\u043f",
    "o": "\u043e\u041e\u039f\u03bf\u03c3\u0585\u1d0f",
    "p": "\u0440\u0420\u03a1\u03c1\u1d18",
    "q": "\u051b\u0566",
    "r": "\u0433\u0280",
    "s": "\u0455\u0405\ua731",
    "t": "\u0442\u0422\u03a4\u03c4\u1d1b",
    "u": "\u03c5\u057d\u1d1c",
    "v": "\u03bd\u0475\u1d20",
    "w": "\u051d\u0461\u1d21",
    "x": "\u0445\u0425\u03a7\u03c7",
    "y": "\u0443\u0423\u03a5\u04af\u028f",
    "z": "\u0396\u1d22",
}
_LATIN = {ord(seen): letter for letter, alike in _ALIKE.items() for seen in alike}
_NEGATIVE = range(0x1F150, 0x1F18A)
"""Letters in filled circles and squares, which have no decomposition."""


class _Folding(dict[int, str]):
    """For `str.translate`: worked out once for each character."""

    def __missing__(self, point: int) -> str:
        folded = self[point] = _folded(point)
        return folded


def _folded(point: int) -> str:
    if point in _LATIN:
        return _LATIN[point]
    if point in _NEGATIVE:
        return chr(ord("a") + (point - 0x1F150) % 32 % 26)
    char = chr(point)
    if unicodedata.combining(char):
        return FILLER
    plain = unicodedata.normalize("NFKD", char)[0]
    plain = _LATIN.get(ord(plain), plain).lower()
    return plain if len(plain) == 1 else char


_TABLE = _Folding()


def fold(text: str) -> str:
    """The same text for comparison, of the same length."""
    return text.lower() if text.isascii() else text.translate(_TABLE)
