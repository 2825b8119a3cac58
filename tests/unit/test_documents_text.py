"""What the documents server makes of text, without the libraries of its image."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from muxi_servers.documents.cutting import cut, estimate_tokens
from muxi_servers.documents.detect import detect
from muxi_servers.documents.formats.delimited import open_delimited
from muxi_servers.documents.formats.plain import blocks_of_markdown
from muxi_servers.documents.markdown import emphasise, link, render, starts_of
from muxi_servers.documents.model import Block, Table, Window
from muxi_servers.documents.selection import select
from muxi_servers.documents.writing.draft import Draft, number_of
from muxi_servers.documents.writing.html import write_html
from muxi_servers.documents.writing.saving import save
from muxi_servers.documents.writing.text import write_csv
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import Workspace


def test_parts_are_selected_by_ranges_and_names() -> None:
    assert list(select("", 3, "page", [])) == [1, 2, 3]
    assert list(select("2-3, 1,9-", 10, "page", [])) == [2, 3, 1, 9, 10]
    assert list(select("8-99", 10, "page", [])) == [8, 9, 10]
    assert list(select("1-2", 2, "sheet", ["a", "1-2"])) == [2]
    chosen = select("5-7,2", 10, "page", [])
    assert len(chosen) == 4
    assert [chosen.from_place(place) for place in (0, 1, 2, 3, 4)] == ["5-7,2", "6-7,2", "7,2", "2", ""]


@pytest.mark.parametrize("wanted", ["0", "11", "3-2", "x", "-3", "1--2", "1,,2", "9" * 40, "\u0663"])
def test_parts_that_are_not_there_are_refused(wanted: str) -> None:
    with pytest.raises(ToolError, match="parts"):
        select(wanted, 10, "page", [])


def test_a_selection_of_many_parts_is_not_held_in_memory() -> None:
    assert len(select(",".join(["1-100000000"] * 100), 10**8, "page", [])) == 10**10


def test_markdown_of_blocks_cannot_be_mistaken() -> None:
    table = Table([["a|b", "c\nd"], [1, None, True]])
    blocks = [
        Block("heading", "Top", 1),
        Block("text", "# no heading"),
        Block("text", "<!-- page 9 -->"),
        Block("item", "one"),
        Block("item", "in", 1),
        Block("item", "first", 0, 1),
        table,
        Block("code", "a\n```\nb"),
    ]
    text, starts = starts_of(blocks)
    assert text == (
        "# Top\n\n\\# no heading\n\n&lt;!-- page 9 -->\n\n- one\n  - in\n1. first\n\n"
        "| a\\|b | c<br>d |  |\n| --- | --- | --- |\n| 1 |  | TRUE |\n\n````\na\n```\nb\n````"
    )
    assert [text[start] for start in starts] == ["#", "\\", "&", "-", " ", "1", "|", "`"]


def test_marks_and_links_keep_spaces_outside() -> None:
    assert emphasise(" a ", bold=True, italic=True) == " ***a*** "
    assert emphasise("  ", bold=True) == "  "
    assert link(" a ", "https://e.org/x (1)") == " [a](https://e.org/x%20%281%29) "
    assert link("a", "javascript:alert(1)") == "a"
    assert link("a", "file:///etc/passwd") == "a"


def test_a_markdown_file_keeps_its_words_and_shows_its_tables() -> None:
    text = "# A\n\n> quoted\n\n| x | y |\n|---|---|\n| 1 | a\\|b |\n\n```sh\n# no heading\n```"
    blocks = blocks_of_markdown(text)
    assert [block.kind for block in blocks] == ["heading", "raw", "table", "raw"]
    assert isinstance(blocks[2], Table)
    assert blocks[2].rows == [["x", "y"], ["1", "a|b"]]
    assert render(blocks[3:]) == "```sh\n# no heading\n```"


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"a,b\n1,2\n", "noname", "csv"),
        (b"a\tb\n1\t2\n", "x.dat", "tsv"),
        (b"Hello, world\nThis, that\n", "x.md", "markdown"),
        (b"Just words.\n", "x.csv", "csv"),
        (b"Just words.\n", "x", "text"),
        (b"\xef\xbb\xbf  <!DOCTYPE HTML><p>x", "x.pdf", "html"),
        (b"junk\n%PDF-1.4", "x.txt", "pdf"),
        (b"\x89PNG\r\n\x1a\n", "x.txt", "image"),
        ('<?xml version="1.0"?><svg/>'.encode("utf-16"), "x", "svg"),
    ],
)
def test_a_document_is_known_by_its_content(data: bytes, name: str, expected: str) -> None:
    assert detect(io.BytesIO(data), name) == expected


def test_rows_of_a_csv_file_are_counted_and_taken_from_the_middle() -> None:
    data = "\ufeff".encode() + b'n;"a;b"\r\n' + b"1;2\r\n" * 1000
    document = open_delimited(io.BytesIO(data), "csv", "text/csv", Window(1000, 5))
    (part,) = document.parts([1])
    (table,) = part.blocks
    assert isinstance(table, Table)
    assert (table.first_row, table.total_rows, table.rows, table.is_whole) == (1000, 1001, [["1", "2"]] * 2, True)


def test_chunks_begin_at_headings_and_know_their_place() -> None:
    blocks = [
        Block("text", "before"),
        Block("heading", "A", 1),
        Block("heading", "B", 2),
        Block("text", "x " * 100),
        Block("heading", "C", 2),
        Block("text", "end"),
    ]
    text, _ = starts_of(blocks)
    cuts, path = cut(blocks, ["old"], size=120, overlap=20, in_tokens=False)
    assert [found.headings for found in cuts] == [["old"], ["A", "B"], ["A", "B"], ["A", "C"]]
    assert path == ["A", "C"]
    assert all(found.text == text[found.start : found.end].strip("\n") for found in cuts)
    assert cuts[1].end > cuts[2].start
    assert max(len(found.text) for found in cuts) <= 120
    assert cuts[0].start == 0
    assert cuts[-1].end == len(text)


def test_a_table_that_is_cut_has_its_header_in_each_chunk() -> None:
    rows: list[list[str | int | float | bool | None]] = [["name", "n"], *(["row", n] for n in range(100))]
    cuts, _ = cut([Table(rows)], [], size=300, overlap=100, in_tokens=False)
    assert len(cuts) > 3
    assert all(found.text.startswith("| name | n |\n| --- | --- |\n| row |") for found in cuts)
    assert all(len(found.text) <= 300 for found in cuts)
    assert [line for found in cuts for line in found.text.split("\n")[2:]] == [f"| row | {n} |" for n in range(100)]


def test_a_size_in_tokens_is_kept() -> None:
    for words in ("word " * 500, "\u6f22\u5b57" * 500):
        cuts, _ = cut([Block("text", words)], [], size=50, overlap=10, in_tokens=True)
        assert all(estimate_tokens(found.text) <= 51 for found in cuts)
        assert len(cuts) > 5


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_chunks_of_any_size_come_to_an_end_and_leave_nothing_out(size: int) -> None:
    text = "one two three\n" * 20
    cuts, _ = cut([Block("raw", text)], [], size=size, overlap=size * 3, in_tokens=False)
    covered = {at for found in cuts for at in range(found.start, found.end)}
    assert {at for at, letter in enumerate(text) if not letter.isspace()} <= covered


def test_numbers_are_only_what_is_plainly_one() -> None:
    assert [number_of(value) for value in ("1", "-2.5", "0", "0.5", "12345678901234")] == [
        1,
        -2.5,
        0,
        0.5,
        12345678901234,
    ]
    for text in ("007", "1,5", "1e5", "=1", "+1", "", "1.", ".5", "--1", "\u0663", "9" * 20, "nan"):
        assert number_of(text) == text


def test_formulas_in_a_csv_file_are_text(tmp_path: Path) -> None:
    draft = Draft("", [Table([["=1", "+x", "-5", "@y", "\tz", -5, "a,b"]])], Workspace(str(tmp_path)))
    assert write_csv(draft) == b"'=1,'+x,-5,'@y,'\tz,-5,\"a,b\"\r\n"
    assert len(draft.notes) == 1


def test_a_page_that_is_written_holds_nothing_that_runs(tmp_path: Path) -> None:
    markdown = (
        "<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![p](https://e.org/p.png) ![q](../../q.png)\n\n"
        "| a |\n| --- |\n| b<br>c |"
    )
    draft = Draft(markdown, [], Workspace(str(tmp_path)))
    draft.title = "</title><script>"
    page = write_html(draft).decode()
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert "<td>b<br>c</td>" in page
    assert len(draft.notes) == 2


def test_a_document_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    assert save(workspace, "a/b.pdf", b"one", overwrite=False) == ("a/b.pdf", True)
    with pytest.raises(ToolError, match="exists already"):
        save(workspace, "a/b.pdf", b"two", overwrite=False)
    assert save(workspace, "a/b.pdf", b"two", overwrite=True) == ("a/b.pdf", False)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "a").iterdir()] == [("b.pdf", b"two")]
    with pytest.raises(ToolError, match="not a file"):
        save(workspace, "a", b"three", overwrite=True)
