"""Bytes of a page to text: by its byte order mark, by what the host says, by what the page says, or by trying."""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from muxi_servers.kit.client.charsets import text_encoding

__all__ = ["to_text"]

_MARKS = ((BOM_UTF8, "utf-8-sig"), (BOM_UTF16_LE, "utf-16"), (BOM_UTF16_BE, "utf-16"))
_PRESCANNED = 4_096
_META = re.compile(rb"""<meta[^>]{0,500}?charset\s{0,9}=\s{0,9}["']?\s{0,9}([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s{0,99}<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9_.:-]{2,40})""")
_WIDENED = {"latin_1": "cp1252", "ascii": "cp1252"}
"""What browsers read in place of a name (WHATWG Encoding Standard): such pages mostly are the superset."""
_FALLBACK = "cp1252"


def to_text(data: bytes, told: str = "") -> str:
    """Never fails: what is not of the encoding becomes U+FFFD. `told` is the `charset` of the `Content-Type`."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    start = data[:_PRESCANNED]
    found = _XML.search(start) or _META.search(start)
    for candidate in (told, found[1].decode("ascii") if found else ""):
        name = _usable(candidate)
        if name:
            return data.decode(name, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # Cut in the middle of its last character, it is UTF-8 all the same.
        is_cut = error.end == len(data) and "unexpected end" in error.reason
        return data.decode("utf-8" if is_cut else _FALLBACK, "replace")


def _usable(name: str) -> str:
    """Python's name of an encoding of text that the page may be in; empty if there is none."""
    known = text_encoding(name)
    # A page that says in ASCII that it is UTF-16 is not.
    known = "utf_8" if known.startswith(("utf_16", "utf_32")) else known
    return _WIDENED.get(known, known)
