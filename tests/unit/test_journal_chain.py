"""The quick way of writing an event's data gives the same text as the other."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from muxi_runtime.journal.chain import canonical, event_hash, prepare, seal, text_of
from muxi_runtime.journal.contract import GENESIS, Draft

LIMIT = 10**6


class Word(StrEnum):
    """A text that is of a type of its own."""

    ONE = "one"


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0.00001, 10.0).map(lambda number: round(number, 4))
    | st.text()
    | st.sampled_from([Word.ONE, [Word.ONE], [1.0], [[]], {"a": 1}, ["\ud800"], '\x7f\x00\x1f"\\/\u2028'])
    | st.lists(st.text(max_size=5), max_size=3)
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=6))
@example({"seconds": 0.0001, "b": 1e16, "a": 1e-5, "c": -0.0, "d": 12345678.9})
def test_the_text_of_an_event_is_the_canonical_json_of_its_data(data: dict[str, Any]) -> None:
    draft = prepare(Draft("test.said", data=data), max_bytes=LIMIT)
    assert text_of(draft) == canonical(draft.data)
    event = seal(draft, seq=1, at="2026-01-01T00:00:00.000000Z", previous=GENESIS)
    assert event.hash == event_hash(event)


def test_an_event_is_not_changed_with_what_it_was_made_of() -> None:
    names = ["a"]
    draft = prepare(Draft("test.said", data={"names": names}), max_bytes=LIMIT)
    names.append("b")
    assert draft.data == {"names": ["a"]}
