"""Where tokens are: DuckDB counts bytes, Python counts characters."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muxi_servers.data.offsets import character_offsets


@example(tokens=["DELETE FROM t ", "-- éé\n", "WHERE a ", "= '日本'", " ;", "😀"])
@given(tokens=st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=1))
def test_offsets_cut_a_text_into_its_tokens_whatever_characters_they_have(tokens: list[str]) -> None:
    text = "".join(tokens)
    in_bytes = [len("".join(tokens[:index]).encode()) for index in range(len(tokens))]
    starts = character_offsets(text, in_bytes)
    assert [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)] == tokens


def test_an_offset_inside_of_a_character_is_an_error() -> None:
    with pytest.raises(ValueError, match="decode"):
        character_offsets("é;", [1])
