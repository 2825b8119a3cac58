from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.kit.capture import Capture
from muxi_servers.shell.ring import Ring

PIECES = st.lists(st.binary(max_size=40), max_size=30)


def filled(pieces: list[bytes], limit: int) -> Capture:
    capture = Capture(limit)
    for piece in pieces:
        capture.add(piece)
    return capture


@given(PIECES, st.integers(0, 60))
def test_what_is_kept_and_what_is_left_out_add_up(pieces: list[bytes], limit: int) -> None:
    data = b"".join(pieces)
    capture = filled(pieces, limit)
    assert capture.total == len(data)
    assert capture.omitted == max(0, len(data) - limit)


@given(st.lists(st.text("ab\n", max_size=20), max_size=30), st.integers(2, 60))
def test_the_beginning_and_the_end_are_kept(pieces: list[str], limit: int) -> None:
    data = "".join(pieces)
    text = filled([piece.encode() for piece in pieces], limit).text()
    head = limit // 2
    if len(data) <= limit:
        assert text == data
    else:
        mark = f"\n[... {len(data) - limit} of {len(data)} bytes left out ...]\n"
        assert text == data[:head] + mark + data[len(data) - (limit - head) :]


def test_a_character_that_the_cut_splits_is_not_shown_as_noise() -> None:
    text = filled(["ä".encode() * 100], 21).text()
    assert "\ufffd" not in text
    assert text.startswith("äääää\n[... 179 of 200 bytes left out ...]\nä")


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert filled([b"a\xffb"], 100).text() == "a\ufffdb"


def test_a_large_output_takes_little_memory() -> None:
    capture = Capture(1_000)
    for _ in range(10_000):
        capture.add(b"x" * 10_000)
    assert capture.total == 100_000_000
    assert len(capture.text()) < 1_100


@given(PIECES, st.integers(1, 50), st.integers(0, 200), st.integers(0, 50))
def test_a_ring_reads_what_it_still_has(pieces: list[bytes], limit: int, position: int, size: int) -> None:
    data = b"".join(pieces)
    ring = Ring(limit)
    for piece in pieces:
        ring.add(piece)
    assert ring.end == len(data)
    assert ring.begin == max(0, len(data) - limit)
    start, read = ring.read(position, size)
    assert start == min(max(position, ring.begin), ring.end)
    assert read == data[start : start + size]
