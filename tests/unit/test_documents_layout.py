"""Headings, lists and tables out of letters at places, as a PDF has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.documents.formats.pdf_layout import page_blocks
from muxi_servers.documents.formats.pdf_lines import PIXELS, Line, Page, Piece, body_size
from muxi_servers.documents.formats.pdf_scale import CREATOR, HEADING_POINTS, Scale
from muxi_servers.documents.markdown import render

BODY = 10
WORDS = st.text("aB1.-)é•", min_size=1, max_size=30).filter(lambda text: text.strip() == text)


def laid(*pieces: tuple[str, float, float] | tuple[str, float, float, float], bold: bool = False) -> Page:
    """A page of (text, left, top, size), each letter being half as wide as it is high."""
    made = Page(1)
    for text, left, top, *more in pieces:
        size = more[0] if more else BODY
        piece = Piece(text, (left, top, len(text) * size / 2, size), size, bold=bold)
        made.sizes[size] += len(text)
        if not made.lines or not made.lines[-1].takes(piece):
            made.lines.append(Line(piece))
    return made


def page(*pieces: tuple[str, float, float] | tuple[str, float, float, float]) -> str:
    """Its Markdown, in a document whose text is of `BODY`."""
    made = laid(*pieces)
    made.sizes[BODY] += 10_000
    return render(page_blocks(made, Scale.of([made], "")))


def levels(page: Page, creator: str) -> list[tuple[int, str]]:
    """(level, text) of each heading."""
    return [(one.level, one.text) for one in page_blocks(page, Scale.of([page], creator)) if one.kind == "heading"]


def test_larger_letters_are_headings() -> None:
    text = page(("Title", 10, 10, 20), ("of two lines", 10, 34, 20), ("2. Methods", 10, 70, 14), ("words", 10, 100))
    assert text == "# Title of two lines\n\n## 2. Methods\n\nwords"


def in_column(lines: list[tuple[str, float]]) -> list[tuple[str, float, float, float]]:
    return [(text, 10.0, 100.0 * number, size) for number, (text, size) in enumerate(lines)]


@given(st.lists(st.tuples(st.integers(1, 6), WORDS), max_size=12), st.sampled_from(("", "some words of the text")))
def test_the_headings_of_a_pdf_written_here_have_their_levels_whatever_they_say(
    headings: list[tuple[int, str]], text: str
) -> None:
    lines = [(heading, float(round(HEADING_POINTS[level - 1] * PIXELS))) for level, heading in headings]
    lines += [(text, 16.0)] if text else []
    made = laid(*in_column(lines), bold=True)
    assert levels(made, CREATOR) == headings


@given(st.lists(st.sampled_from((13, 16, 20, 25, 31, 39)), min_size=1, max_size=12))
def test_the_levels_of_any_other_pdf_are_the_ranks_of_its_sizes(sizes: list[int]) -> None:
    ranks = sorted(set(sizes), reverse=True)
    headings = [(f"Heading {number}", float(size)) for number, size in enumerate(sizes)]
    made = laid(*in_column([*headings, ("words of the text. " * 50, BODY)]))
    told = levels(made, "some other program")
    assert told == [(ranks.index(size) + 1, f"Heading {number}") for number, size in enumerate(sizes)]


def test_a_line_in_bold_ranks_below_every_larger_size() -> None:
    made = laid(("Heading", 10, 60), bold=True)
    assert levels(made, "") == [(1, "Heading")]
    for size, text, top in ((24, "Part", 120), (16, "Chapter", 180)):
        made.lines.append(Line(Piece(text, (10, top, 90, size), size, bold=False)))
    made.sizes[BODY] += 100
    assert levels(made, "") == [(3, "Heading"), (1, "Part"), (2, "Chapter")]


def test_a_size_that_the_first_pages_do_not_have_is_put_between_those_that_they_have() -> None:
    scale = Scale(10, [30, 20, 15])
    assert [scale.level(size) for size in (40, 30, 25, 20, 17, 15, 12, 11)] == [1, 1, 2, 2, 3, 3, 4, 0]


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
