"""Text from tools, files and errors on its way to a terminal: nothing in it may act on the terminal."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]

KEPT = frozenset("\n\t")
ACTIVE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that move the cursor, reorder or hide text, or cannot be encoded: controls (escape
sequences), format characters (bidirectional overrides, zero width, tags), surrogates, private use, breaks."""


def printable(text: str) -> str:
    r"""The text with every character that could act on a terminal shown as its escape (`\x1b`, `\u202e`).

    Line feeds and tabs stay; CR LF becomes LF.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in KEPT or unicodedata.category(character) not in ACTIVE:
        return character
    code = ord(character)
    if code <= 0xFF:  # noqa: PLR2004 - the widths of Python's own escapes
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - as above
