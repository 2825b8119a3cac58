from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.kit.codec import MAX_DEPTH, decode, encode
from muxi_servers.kit.errors import FrameError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_comes_back_as_it_was_in_one_line(value: Any) -> None:
    line = encode(value)
    assert b"\n" not in line
    assert decode(line) == value
    assert json.loads(line) == value


@given(VALUES)
def test_it_reads_what_another_encoder_writes(value: Any) -> None:
    assert decode(json.dumps(value, indent=1).encode()) == value


@given(st.binary())
def test_any_bytes_are_a_value_or_a_frame_error(data: bytes) -> None:
    try:
        value = decode(data)
    except FrameError:
        return
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"{} {}", "more text"),
        (b"NaN", "NaN"),
        (b"-Infinity", "Infinity"),
        (b'{"a":1e999}', "1e999 is more than"),
        (b"[-1.5E400]", "-1.5E400 is more than"),
        (b'{"a":1,"a":2}', "same key twice"),
        (b'{"x":{"a":1,"a":2}}', "same key twice"),
        (b'"\\ud800"', "half a surrogate"),
        (b'{"\\udfff":1}', "half a surrogate"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"1" * 10_000, "not JSON"),
    ],
)
def test_what_is_no_plain_json_is_refused(line: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=complaint):
        decode(line)


def test_a_whole_surrogate_pair_is_taken() -> None:
    assert decode(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1_000, 1_000_000])
def test_deep_nesting_is_refused(opening: bytes, closing: bytes, depth: int) -> None:
    with pytest.raises(FrameError, match="nested"):
        decode(opening * depth + b"1" + closing * depth)


def test_nesting_up_to_the_limit_is_taken() -> None:
    assert decode(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_half_a_surrogate_of_our_own_never_reaches_the_wire() -> None:
    assert encode("a\udc80b") == b'"a?b"'


def test_what_is_no_json_is_not_encoded() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        encode({"a": {1}})
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(float("nan"))
