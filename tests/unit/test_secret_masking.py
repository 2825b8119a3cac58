"""What must not come back from a host, and what stands for it in what a sandbox sends, however it is cut."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_sandbox.egress.masking import Mask, Texts
from muxi_sandbox.egress.placeholders import PLACEHOLDER, Watch, canonical, hides_one

ONE = "muxi-secret-" + "0123456789abcdef" * 2
TEXTS = {b"hunter2-hunter2": b"<A>", b"hunter2": b"<B>", b"aab": b"<C>"}


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(
    data=st.lists(st.sampled_from([*TEXTS, b"hunt", b"er2", b"-", b"a", b"b", b"x"])).map(b"".join),
    cuts=st.lists(st.integers(0, 100)),
)
def test_pieces_are_masked_as_the_whole_is(data: bytes, cuts: list[int]) -> None:
    mask = Mask(Texts(TEXTS))
    masked = b"".join(mask.feed(piece) for piece in cut(data, cuts)) + mask.finish()
    assert masked == Mask(Texts(TEXTS)).whole(data)
    assert not any(text in masked for text in TEXTS)


def test_a_line_that_has_ended_goes_on_at_once() -> None:
    mask = Mask(Texts({b"hunter2-hunter2": b"*"}))
    assert mask.feed(b"data: one\n\n") == b"data: one\n\n"
    assert mask.feed(b"data: hunter2-") == b""
    assert mask.feed(b"no\n") == b"data: hunter2-no\n"
    assert mask.finish() == b""


@given(before=st.binary(max_size=200), guess=st.binary(min_size=1, max_size=15), cuts=st.lists(st.integers(0, 300)))
def test_how_much_comes_at_once_does_not_tell_whether_a_guess_is_right(
    before: bytes, guess: bytes, cuts: list[int]
) -> None:
    size = len(guess)
    for text in (guess + b"x" * (16 - size), b"y" * 16):  # the guess begins the one, and not the other
        if any(byte < ord(" ") for byte in text) or text in before + guess:
            return
    right, wrong = Mask(Texts({guess + b"x" * (16 - size): b"*"})), Mask(Texts({b"y" * 16: b"*"}))
    pieces = list(cut(before + guess, cuts))
    assert [len(right.feed(piece)) for piece in pieces] == [len(wrong.feed(piece)) for piece in pieces]
    assert len(right.finish()) == len(wrong.finish())


def test_nothing_to_mask_changes_nothing() -> None:
    mask = Mask(Texts({}))
    assert mask.feed(b"any") + mask.finish() == b"any"


@given(
    before=st.binary(max_size=80),
    lead=st.binary(max_size=5),
    after=st.binary(max_size=80),
    how=st.sampled_from([bytes, base64.b64encode, base64.urlsafe_b64encode]),
    cuts=st.lists(st.integers(0, 300)),
)
def test_a_placeholder_is_seen_in_any_pieces_as_it_is_and_in_base64(before, lead, after, how, cuts) -> None:
    watch = Watch()
    data = before + how(lead + ONE.encode() + b":pass") + after
    assert any(watch.sees(piece) for piece in cut(data, cuts))


@pytest.mark.parametrize(
    "text",
    [
        quote(ONE).replace("-", "%2D"),
        "".join(f"%{ord(character):02x}" for character in ONE),
        "".join(f"%25{ord(character):02x}" for character in ONE),
        base64.b64encode(f"user:{ONE}".encode()).decode(),
        quote(base64.b64encode(f"u:{ONE}".encode()).decode(), safe=""),
    ],
)
def test_an_encoded_placeholder_is_found_in_a_head(text: str) -> None:
    assert hides_one(f"a{text}b")


@given(st.text(st.characters(codec="latin-1")))
def test_other_text_hides_none(text: str) -> None:
    assert not hides_one(text)
    assert not hides_one("muxi-secret-of-success")


def test_hyphens_may_be_percent_encoded_and_mean_the_same() -> None:
    match = PLACEHOLDER.search("x" + ONE.replace("-", "%2d") + "y")
    assert match is not None
    assert canonical(match) == ONE
