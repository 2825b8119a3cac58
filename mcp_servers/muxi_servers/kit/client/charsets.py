"""Encodings that an answer may name for its text.

Hosts choose among these alone: others of Python's fail on some bytes whatever is asked of them (`idna`, `undefined`),
take time that grows with the square of the length (`punycode`), or hide text (`utf-7`, `unicode_escape`).
"""

from __future__ import annotations

from encodings import normalize_encoding
from encodings.aliases import aliases

__all__ = ["text_encoding"]

_MAX_NAME = 40
_UNICODE = ("utf_8", "utf_8_sig", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be")
_WESTERN = ("ascii", "latin_1", "mac_roman", "mac_cyrillic", "koi8_r", "koi8_t", "koi8_u", "tis_620")
_ISO = tuple(f"iso8859_{part}" for part in (*range(2, 12), *range(13, 17)))
_PAGES = tuple(f"cp{number}" for number in (437, 850, 852, 855, 866, 874, *range(1250, 1259)))
_ASIAN = (
    *("big5", "big5hkscs", "cp950", "gb2312", "gbk", "gb18030", "euc_jp", "shift_jis", "cp932", "iso2022_jp"),
    *("euc_kr", "cp949", "johab"),
)
_TEXT = frozenset((*_UNICODE, *_WESTERN, *_ISO, *_PAGES, *_ASIAN))


def text_encoding(name: str) -> str:
    """Python's name of it, with underscores, for `bytes.decode`; empty if it is none of these.

    Nothing is looked up of what is none: Python keeps each name that it did not find.
    """
    name = name.strip().lower()
    if len(name) > _MAX_NAME or not name.isascii():
        return ""
    normal = normalize_encoding(name)
    known = aliases.get(normal, normal)
    return known if known in _TEXT else ""
