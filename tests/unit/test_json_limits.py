from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.gateway.json_limits import contains_deeper_than, printable


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [1, 2, 63, 64])
def test_a_value_is_as_deep_as_its_containers(levels: int):
    assert not contains_deeper_than(nested(levels), levels)
    assert contains_deeper_than(nested(levels + 1), levels)


def test_a_hundred_thousand_levels_do_not_exhaust_the_stack():
    assert contains_deeper_than(nested(100_000), 64)


@given(st.text(), st.integers(1, 50))
def test_what_a_person_is_shown_has_no_character_that_hides_or_moves_others(text: str, limit: int):
    shown = printable(text, limit)
    assert shown.isprintable() or all(c.isprintable() or c.isspace() for c in shown)
    assert len(shown) <= limit + 3


def test_direction_marks_and_escapes_are_replaced():
    assert printable("a\u202eb\x1b[2Jc\U000e0041", 100) == "a\ufffdb\ufffd[2Jc\ufffd"
