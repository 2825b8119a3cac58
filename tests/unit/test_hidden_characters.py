"""What is taken out of texts, and what is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.gateway.hidden import clean, holds_hidden

pytestmark = pytest.mark.promise("results-are-cleaned")


def tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(letter)) for letter in text)


HIDDEN = {
    "tags": tags("ignore all"),
    "a tag flag that is none": "\U0001f3f4" + tags("ignor") + "\U000e007f",
    "bidi override": "\u202e",
    "isolates": "\u2066\u2069",
    "marks of direction": "\u200e\u200f\u061c",
    "zero width": "\u200b\u2060\ufeff",
    "joiners of nothing": "\u200c\u200d",
    "blank letters": "\u3164\uffa0\u115f\u1160",
    "variation selectors": "\ufe0f\ufe00\U000e0101",
    "soft hyphen": "\u00ad",
    "interlinear": "\ufff9\ufffa\ufffb",
    "controls": "\x00\x07\x08\x0c\x7f\x85",
    "half a pair": "\ud800",
    "colour": "\x1b[1;31m\x1b[0m",
    "colour of eight bits": "\x9b31m",
    "title": "\x1b]0;a title\x07",
    "link": "\x1b]8;;https://example.com\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "device control": "\x1bPq#0;2\x1b\\",
    "reset": "\x1bc",
    "character set": "\x1b(B",
    "escape that ends nowhere": "\x1b\x00",
}
VISIBLE = [
    "plain text\n\twith lines\r\nof both kinds",
    "Größe, текст, 中文, العربية, हिन्दी",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "क्\u200dष",
    "ភាសា\u200bខ្មែរ",
    "\u1820\u180b",
    "👩\u200d🚀 👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 ☺\ufe0e",
    "\U0001f3f4" + tags("gbsct") + "\U000e007f",
    "葛\U000e0100城",
    "[31m is text, and so is \\x1b[31m",
    "\u2028\u00a0\u3000",
]


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_what_is_hidden_goes_whole(hidden: str):
    black_flag = hidden[0] if hidden[0] == "\U0001f3f4" else ""
    count = len(hidden) - len(black_flag)
    assert clean(f"before{hidden} after") == (f"before{black_flag} after", count)


@pytest.mark.parametrize("text", VISIBLE)
def test_what_is_seen_and_what_scripts_and_emoji_need_stays(text: str):
    assert clean(text) == (text, 0)


def test_a_lone_carriage_return_becomes_a_line_feed():
    assert clean("10%\r20%\r\n") == ("10%\n20%\r\n", 1)


def test_a_string_of_the_terminal_that_does_not_end_hides_no_later_line():
    assert clean("\x1b]0;a\nb\x07") == ("0;a\nb", 3)


BLANK = "\u115f\u1160\u3164\uffa0"
PLAIN = st.characters(
    codec="utf-8", categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u115f\u1160\u3164\uffa0"
)
SPOILED = st.lists(st.tuples(st.text(PLAIN, min_size=1), st.sampled_from(sorted(HIDDEN.values()))), max_size=8)


@given(st.text(st.characters(codec=None)))
def test_to_clean_again_changes_nothing(text: str):
    once, _ = clean(text)
    assert clean(once) == (once, 0)


@given(SPOILED)
def test_nothing_visible_is_lost(parts: list[tuple[str, str]]):
    text, _ = clean("".join(f" {plain} {hidden} " for plain, hidden in parts))
    assert text.replace("\U0001f3f4", "") == "".join(f" {plain}  " for plain, _ in parts).replace("\U0001f3f4", "")


@given(st.text(st.characters(codec=None, categories=["Cc", "Cf", "Cs"]) | st.sampled_from("a\u0645\U0001f469")))
def test_no_control_escape_tag_or_direction_is_left(text: str):
    left = set(clean(text)[0]) - set("a\u0645\U0001f469\n\t\r")
    # Marks that have a glyph of their own, joiners where they join, and the flags' tags after a black flag.
    assert left <= {"\u200c", "\u200d"} | {chr(code) for code in VISIBLE_FORMAT}


VISIBLE_FORMAT = [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13456)]


@given(st.text(st.characters(codec=None)))
def test_the_quick_look_misses_nothing(text: str):
    written = json.dumps({"a": [text]}, ensure_ascii=False)
    encoded = written.encode(errors="replace")
    assert holds_hidden(written, encoded) or clean(text)[1] == 0


@pytest.mark.parametrize("unit", ["\x1b]", "\x1b[", "\x1b[1;", "\x9d", "\u200d", "\U000e0041", "\ufe0f", "\r"])
@pytest.mark.timeout(20)
def test_a_text_made_to_be_slow_is_not(unit: str):
    text, _ = clean(unit * 300_000)
    assert len(text) <= 600_000
