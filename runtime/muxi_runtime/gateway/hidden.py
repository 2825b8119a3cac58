r"""What is in a text and not seen by who reads it: taken out, whole escape sequences with it.

A model reads characters that a person does not see, and a terminal obeys them. What goes:

- terminal escapes as a whole (ECMA-48: CSI, and OSC, DCS, SOS, PM, APC with what they carry), and every other control
  character but line feed, tabulator and a carriage return before a line feed. One that stands alone becomes a line
  feed: what it parts stays parted.
- what Unicode calls default-ignorable (UAX 44, `DerivedCoreProperties.txt`): tag characters, directions and isolates,
  zero-width and blank letters, variation selectors; with them the marks of interlinear annotations, noncharacters, and
  halves of surrogate pairs, which are no text at all.

What stays of these, once at each place, since a script or an emoji is not itself without it: joiners inside words of
the scripts that use them and between emoji, zero-width spaces between letters of scripts that write no spaces,
variation selectors after what has variants, and the tags of the three flags that Unicode recommends.
"""

from __future__ import annotations

import re

__all__ = ["clean", "holds_hidden"]

_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_JOINING = (
    "\u0620-\u064a\u066e-\u06ff\u0710-\u07ff\u0840-\u085f\u0860-\u08ff\u0900-\u0dff\u0f00-\u109f"
    "\u1780-\u17b3\u17b6-\u18aa"
)
"""Arabic, Syriac, N'Ko, Mandaic, the scripts of India and of the south-east of Asia, Mongolian."""
_UNSPACED = "\u0e01-\u0eff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff"
"""Thai, Lao, Tibetan, Burmese, Khmer."""
_MONGOLIAN = "\u1820-\u18aa"
_VARIED = f"#*0-9{_EMOJI}{_HAN}\u2190-\u2bff\u1000-\u109f\uaa60-\uaa7f"

_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_ENDING = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
"""Those that always go; of carriage returns only the lone ones."""
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff"
)
_IGNORABLE_BEYOND = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"

_FLAGS = frozenset(
    "".join(chr(0xE0000 + ord(letter)) for letter in name) + "\U000e007f" for name in ("gbeng", "gbsct", "gbwls")
)
"""What follows a black flag: England, Scotland, Wales."""

_JUDGED = "\x1b\x90\x98\x9b\x9d-\x9f\u180b-\u180f\u200b-\u200d\ufe00-\ufe0f\U000e0067\U000e0100-\U000e01ef"
_STRAY = rf"""
    (?:(?<=\x1b)\x1b*+(?:
        \[[0-?]*+[\ -/]*+[@-~]
        | [\]PX^_][^{_CONTROLS}\n]*+(?:\x07|\x1b\\|\x9c)
        | [\ -/]*+[0-~]
        )?
    | (?<=\x9b)[0-?]*+[\ -/]*+[@-~]
    | (?<=[\x90\x98\x9d-\x9f])[^{_CONTROLS}\n]*+(?:\x07|\x1b\\|\x9c)
    | (?<=\U0001f3f4\U000e0067)(?:{"|".join(tags[1:] for tags in sorted(_FLAGS))})
    | (?<![{_JUDGED}])(?:(?![{_JUDGED}])[{_ENDING}{_IGNORABLE}{_IGNORABLE_BEYOND}])++
    )?
"""
# A match begins with one hidden character, by which it is found fast, and takes along what belongs to that. No part of
# it can match the same text in two ways, so the time is linear, whatever a server sends.
_HIDDEN = re.compile(f"[{_ENDING}{_IGNORABLE}{_IGNORABLE_BEYOND}]" + _STRAY, re.VERBOSE)
_HIDDEN_IN_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]" + _STRAY, re.VERBOSE)
_NEEDED = re.compile(
    rf"""
    (?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])
    | (?:(?<=[{_EMOJI}])|(?<=[{_EMOJI}]\ufe0f))\u200d(?=[{_EMOJI}])
    | (?<=[{_UNSPACED}])\u200b(?=[{_UNSPACED}])
    | (?<=[{_MONGOLIAN}])[\u180b-\u180f]
    | (?<=[{_VARIED}])[\ufe00-\ufe0f]
    | (?<=[{_HAN}])[\U000e0100-\U000e01ef]
    """,
    re.VERBOSE,
)
_HIDDEN_IN_PLANE = re.compile(f"[\x7f-\x9f{_IGNORABLE}]")
_LONE_RETURN = re.compile(r"\r(?!\n)")
_ESCAPED = ("\\u00", "\\b", "\\f", "\x7f")
"""How JSON writes the control characters that this page takes out; such a text may mean something else, too."""
_BEYOND = (b"\xf3\xa0", b"\xf0\x9d\x85", b"\xf0\x9b\xb2")
"""How the UTF-8 of the characters beyond the first plane begins: to look for bytes is a tenth of the time."""


def holds_hidden(written: str, encoded: bytes) -> bool:
    """Whether any text in a JSON document may have to be cleaned: quick, and sometimes wrongly yes.

    Args:
        written: the document, as `json.dumps(..., ensure_ascii=False)` writes it.
        encoded: the same in UTF-8.
    """
    if any(sign in written for sign in _ESCAPED) or written.count("\\r") != written.count("\\r\\n"):
        return True
    if written.isascii():
        return False
    return any(sign in encoded for sign in _BEYOND) or _HIDDEN_IN_PLANE.search(written) is not None


def clean(text: str) -> tuple[str, int]:
    """The text without what is hidden, and how many characters that were."""
    if text.isascii():  # where nothing is needed by a script
        seen = _HIDDEN_IN_ASCII.sub("", text)
        count = len(text) - len(seen)
    else:
        seen, count = _clean_any(text)
    if lone := seen.count("\r") - seen.count("\r\n"):
        seen = _LONE_RETURN.sub("\n", seen)
    return seen, count + lone


def _clean_any(text: str) -> tuple[str, int]:
    count = 0

    def kept(match: re.Match[str]) -> str:
        nonlocal count
        found = match[0]
        if found in _FLAGS or _NEEDED.match(text, match.start()):
            return found
        count += len(found)
        return ""

    return _HIDDEN.sub(kept, text), count
