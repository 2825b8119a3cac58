from __future__ import annotations

import pytest

from muxi_servers.kit.errors import ToolError
from muxi_servers.thinking.pad import MAX_THOUGHTS, Pad


def texts(pad: Pad, branch: str = "", *, with_revised: bool = False) -> list[str]:
    return [thought["text"] for thought in pad.line(branch, with_revised=with_revised)]


def test_thoughts_are_numbered_and_read_again_in_order() -> None:
    pad = Pad()
    assert [pad.add(text, "", None, None)["number"] for text in ("a", "b")] == [1, 2]
    assert texts(pad) == ["a", "b"]


def test_a_revision_stands_in_place_of_a_thought_and_the_old_one_is_kept() -> None:
    pad = Pad()
    pad.add("wrong", "", None, None)
    told = pad.add("right", "", 1, None)
    assert (told["revises"], told["total"]) == (1, 2)
    assert texts(pad) == ["right"]
    assert texts(pad, with_revised=True) == ["wrong", "right"]
    with pytest.raises(ToolError, match="revised by 2"):
        pad.add("again", "", 1, None)


def test_a_branch_leads_from_where_it_left() -> None:
    pad = Pad()
    for text in ("a", "b"):
        pad.add(text, "", None, None)
    pad.add("other way", "side", None, 1)
    pad.add("c", "", None, None)
    pad.add("further", "side", None, None)
    pad.add("deeper", "deep", None, 3)
    assert texts(pad, "side") == ["a", "other way", "further"]
    assert texts(pad, "deep") == ["a", "other way", "deeper"]
    assert texts(pad, "main") == ["a", "b", "c"]


def test_a_revision_stays_on_the_branch_of_what_it_revises() -> None:
    pad = Pad()
    pad.add("a", "", None, None)
    pad.add("x", "side", None, 1)
    assert pad.add("y", "", 2, None)["branch"] == "side"
    assert texts(pad, "side") == ["a", "y"]
    with pytest.raises(ToolError, match="leave out branch"):
        pad.add("z", "main", 3, None)


@pytest.mark.parametrize(
    ("branch", "revises", "after", "complaint"),
    [
        ("", 9, None, "no thought 9"),
        ("new", None, None, "new branch"),
        ("new", None, 9, "no thought 9"),
        ("main", None, 1, "begun already"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    branch: str, revises: int | None, after: int | None, complaint: str
) -> None:
    pad = Pad()
    pad.add("a", "", None, None)
    with pytest.raises(ToolError, match=complaint):
        pad.add("b", branch, revises, after)
    assert texts(pad) == ["a"]


def test_an_unknown_branch_is_answered_with_those_there_are() -> None:
    pad = Pad()
    pad.add("a", "", None, None)
    with pytest.raises(ToolError, match="there are: main"):
        pad.line("nowhere", with_revised=False)


def test_a_full_pad_takes_no_more_until_it_is_cleared() -> None:
    pad = Pad()
    for _ in range(MAX_THOUGHTS):
        pad.add("a", "", None, None)
    with pytest.raises(ToolError, match="full"):
        pad.add("b", "", None, None)
    assert pad.clear() == MAX_THOUGHTS
    assert pad.add("b", "", None, None)["number"] == 1
