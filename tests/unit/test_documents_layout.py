"""Headings, lists and tables out of letters at places, as a PDF has them."""

from __future__ import annotations

from muxi_servers.documents.formats.pdf_layout import page_blocks
from muxi_servers.documents.formats.pdf_lines import Line, Page, Piece, body_size
from muxi_servers.documents.markdown import render

BODY = 10


def page(*pieces: tuple[str, float, float] | tuple[str, float, float, float]) -> str:
    """The Markdown of (text, left, top, size), each letter being half as wide as it is high."""
    made = Page(1)
    for text, left, top, *more in pieces:
        size = more[0] if more else BODY
        piece = Piece(text, (left, top, len(text) * size / 2, size), size, bold=False)
        if not made.lines or not made.lines[-1].takes(piece):
            made.lines.append(Line(piece))
    return render(page_blocks(made, BODY))


def test_larger_letters_are_headings() -> None:
    text = page(("Title", 10, 10, 20), ("of two lines", 10, 34, 20), ("2. Methods", 10, 70, 14), ("words", 10, 100))
    assert text == "# Title of two lines\n\n## 2. Methods\n\nwords"


def test_lines_that_are_near_are_one_paragraph() -> None:
    text = page(("a divi-", 10, 10), ("ded word", 10, 22), ("next", 10, 50), ("indented", 30, 62))
    assert text == "a divided word\n\nnext\n\nindented"


def test_lists_go_on_below_their_words() -> None:
    text = page(
        ("\u2022", 10, 10),
        ("one", 25, 10),
        ("goes on", 25, 22),
        ("\u2022 inner", 40, 40),
        ("2.", 10, 60),
        ("two", 30, 60),
    )
    assert text == "- one goes on\n  - inner\n2. two"


def test_pieces_in_columns_are_a_table() -> None:
    text = page(
        ("before", 10, 0),
        *(("Name", 10, 20), ("Count", 100, 20), ("Note", 180, 20)),
        *(("alpha", 10, 34), ("1", 115, 34), ("a long", 180, 34)),
        ("note", 180, 44),
        *(("beta", 10, 58), ("22", 110, 58)),
        ("after", 10, 100),
    )
    assert text == (
        "before\n\n| Name | Count | Note |\n| --- | --- | --- |\n| alpha | 1 | a long note |\n| beta | 22 |  |\n\nafter"
    )


def test_one_line_with_gaps_is_no_table() -> None:
    assert page(("left", 10, 10), ("right", 200, 10), ("below", 10, 60)) == "left right\n\nbelow"


def test_two_columns_of_text_are_read_one_after_the_other() -> None:
    left = [(f"left line {number}", 10.0, 10.0 + 12 * number) for number in range(3)]
    right = [(f"right line {number}", 300.0, 10.0 + 12 * number) for number in range(3)]
    assert page(*left, *right) == "left line 0 left line 1 left line 2\n\nright line 0 right line 1 right line 2"


def test_the_size_of_most_letters_is_that_of_the_text() -> None:
    made = Page(1)
    made.sizes.update({20.0: 30, 10.0: 500})
    assert body_size([made]) == 10
    assert body_size([]) == 0
