from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.benchmarks.arithmetic import document, figure, ratio
from tests.benchmarks.report import markdown

samples = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=200)


@given(samples)
def test_a_figure_lies_within_its_samples(values: list[float]):
    found = figure("x", "ms", values)
    assert min(values) == found.low <= found.median <= found.high == max(values)
    assert (found.p99 is None) == (len(values) < 50)


def test_the_99th_percentile_is_the_sample_that_99_of_100_do_not_exceed():
    assert figure("x", "ms", list(range(1, 101))).p99 == 99


def test_rounds_are_paired_so_that_drift_cancels():
    assert ratio("x", [1, 10, 100], [2, 20, 200]).value == pytest.approx(0.5)
    assert ratio("x", [10], [1, 2, 3]).value == 5


def test_the_document_is_json_with_everything_in_it():
    found = json.loads(json.dumps(document([figure("a", "ms", [1.0])], [ratio("r", [1], [2], "goal")], {"rounds": 1})))
    assert found["figures"][0]["median"] == 1.0
    assert found["ratios"] == [{"name": "r", "value": 0.5, "goal": "goal"}]
    assert found["about"] == {"rounds": 1}


def test_the_page_has_both_tables():
    text = markdown([figure("a", "ms", [1.0])], [ratio("r", [1], [2])])
    assert "| r | 0.5 |  |" in text
    assert "| a | ms | 1 |  | 1 - 1 | 1 |" in text
