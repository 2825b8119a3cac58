"""The grammar of formulas; what they come to is tested in the calculator's image."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.calculator.grammar import MAX_CHARACTERS, parse
from muxi_servers.kit.errors import ToolError

ONE, TWO, X = ("number", "1"), ("number", "2"), ("name", "x")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1+2*x", ("+", ONE, ("*", TWO, X))),
        ("(1+2)*x", ("*", ("+", ONE, TWO), X)),
        ("1-2-x", ("-", ("-", ONE, TWO), X)),
        ("x^2^1", ("^", X, ("^", TWO, ONE))),
        ("x**2", ("^", X, TWO)),
        ("-x^2", ("negate", ("^", X, TWO))),
        ("x^-2", ("^", X, ("negate", TWO))),
        ("--x", X),
        ("x!", ("factorial", X)),
        ("f(x, 1)", ("call", "f", [X, ONE])),
        ("x = 1", ("=", X, ONE)),
        ("x <= 1", ("<=", X, ONE)),
        (" 1.5e-3 ", ("number", "1.5e-3")),
        (".5", ("number", ".5")),
    ],
)
def test_a_formula_becomes_its_tree(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("2x", r"written 2\*x"),
        ("1 +", "ends where"),
        ("(1", "ends where"),
        ("f()", "number, a name"),
        ("x.__class__", "no meaning"),
        ("__import__('os')", "no meaning"),
        ("x[0]", "no meaning"),
        ("lambda: 1", "no meaning"),
        ('"text"', "no meaning"),
        ("a; b", "no meaning"),
        ("1 < 2 < 3", "not an operator"),
        ("(" * 60 + "1" + ")" * 60, "deeper"),
        ("1" + "^1" * 60, "powers of powers"),
        ("9" * 1_001, "1000 digits"),
        ("1e1001", "exponent"),
        ("1" + "+1" * 600, "more than 1000 parts"),
        ("x" * 31, "more than 30"),
        ("1" * (MAX_CHARACTERS + 1), "at most"),
        ("\u0661", "no meaning"),
    ],
)
def test_what_is_no_formula_is_refused_where_it_goes_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ToolError, match=complaint):
        parse(text)


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(ToolError):
        assert parse(text)
