"""The published list of attacks is whole: every promise is attacked, every test of a promise is in a row."""

from __future__ import annotations

from tests.attack_matrix.recorder import Outcome
from tests.attack_matrix.report import judge, page
from tests.attack_matrix.rows import ROOT, load_rows, marked_tests


def test_every_row_is_tried_by_a_test_and_every_test_of_a_promise_is_in_a_row():
    rows = load_rows()
    assert [row.text.attack for row in rows if not row.tests] == []
    assert {test for row in rows for test in row.tests} == set(marked_tests())


def test_a_row_names_only_tests_that_there_are():
    marked = {(test.promise, test.function) for test in marked_tests()}
    named = {(row.text.promise, name) for row in load_rows() for name in row.text.tests}
    assert named - marked == set()


def test_the_page_is_made_from_the_list():
    written = (ROOT / "docs/attacks.md").read_text("utf-8")
    assert written == page(load_rows()), "write it anew: python -m tests.attack_matrix --page"


def test_a_row_holds_only_if_each_of_its_tests_ran_and_passed():
    row = load_rows()[0]
    passed = {(test.file, test.function): Outcome(held=2) for test in row.tests}
    first = next(iter(passed))
    words = [
        judge([row], outcomes)[0].word
        for outcomes in (passed, {**passed, first: Outcome(held=5, broke=1)}, {**passed, first: Outcome(skipped=1)}, {})
    ]
    assert words == ["held", "BROKEN", "not run", "not run"]
