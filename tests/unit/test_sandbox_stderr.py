from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muxi_sandbox.stderr import StderrTail, printable


@given(st.lists(st.binary(max_size=30), max_size=50), st.integers(1, 64))
def test_the_tail_is_the_end_of_what_was_written(writes: list[bytes], limit: int) -> None:
    tail = StderrTail(limit)
    for data in writes:
        tail.write(data)
    assert tail.text() == printable(b"".join(writes)[-limit:].decode("utf-8", "replace"))


def test_many_small_writes_keep_the_end() -> None:
    tail = StderrTail(100)
    for number in range(5000):
        tail.write(b"%d " % (number % 10))
    assert tail.text() == "".join(f"{number % 10} " for number in range(4950, 5000))


def test_the_text_may_be_asked_shorter() -> None:
    tail = StderrTail()
    tail.write(b"first line\nlast line")
    assert tail.text(9) == "last line"


def test_controls_bidi_and_tag_characters_are_replaced() -> None:
    assert printable("a\x1b[31mb\u202ec\u200bd\U000e0041e\r\nf\tg") == "a�[31mb�c�d�e\nf\tg"
