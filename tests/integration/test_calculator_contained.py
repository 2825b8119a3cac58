"""The calculator in its image, with what its manifest asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_state import installation
from raw_tools import RawTools, raw_tools
from servers_harness import as_leased, boxed, leased

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(calculator_image: str) -> Iterator[RawTools]:
    with raw_tools(boxed(calculator_image, "calculator")) as tools:
        yield tools


@pytest.mark.parametrize(
    ("expression", "exact", "decimal"),
    [
        ("0.1 + 0.2", "3/10", "0.3"),
        ("1/3 + 1/6", "1/2", "0.5"),
        ("2^64", "18446744073709551616", "1.84467440737096e+19"),
        ("sqrt(8)", "2*sqrt(2)", "2.82842712474619"),
        ("e^(i*pi)", "-1", "-1"),
        ("-2^2 + 2^3^2", "508", "508"),
        ("17 % 5 + gcd(12, 18) + 5!", "128", "128"),
        ("sum(k^2, k, 1, 10)", "385", "385"),
        ("x + x", "2*x", None),
        ("round(2.5) + floor(-0.5)", "2", "2"),
        ("log(100, 10) + log2(8)", "5", "5"),
    ],
)
def test_a_formula_has_an_exact_value(server: RawTools, expression: str, exact: str, decimal: str | None) -> None:
    told = server.call("evaluate", expression=expression)
    assert (told["exact"], told["decimal"]) == (exact, decimal)


def test_comparisons_are_exact(server: RawTools) -> None:
    for text, true in (("0.1 + 0.2 = 0.3", "True"), ("1/3 < 0.3333", "False"), ("sin(x)^2 + cos(x)^2 = 1", "True")):
        assert server.call("evaluate", expression=text)["exact"] == true
    assert server.call("evaluate", expression="a^2", variables={"a": "1/3"})["exact"] == "1/9"
    assert server.call("evaluate", expression="pi", digits=30)["decimal"] == "3.14159265358979323846264338328"


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("9^9^9^9", "too large"),
        ("(1/9)^(9^9)", "too large"),
        ("(2*x)^(10^9)", "too large"),
        ("10^20000 * 10^20000", "20,000 digits"),
        ("100000!", "6000"),
        ("binomial(10^9, 5*10^8)", "6000"),
        ("sum(k, k, 1, 10^9)", "terms"),
        ("1/0", "zero"),
        ("1/(x - x)", "zero"),
        ("0^-1", "zero"),
        ("f(1)", "no function 'f'"),
        ("sqrt(1, 2)", "takes 1 arguments"),
        ("__import__('os').system('id')", "no meaning"),
        ("exec(1)", "no function"),
    ],
)
def test_what_is_too_large_or_undefined_is_refused(server: RawTools, expression: str, complaint: str) -> None:
    assert complaint in server.refusal("evaluate", expression=expression)


def test_what_never_ends_is_ended_and_the_server_goes_on(server: RawTools) -> None:
    assert "took longer than 1 s" in server.refusal("evaluate", expression="exp(exp(exp(exp(99))))", timeout_seconds=1)
    said = server.refusal("simplify", form="expand", expression="(a+b+c+d+f+g+h+k+l+m)^90", timeout_seconds=20)
    assert "memory" in said or "took longer" in said
    assert server.call("evaluate", expression="1+1")["exact"] == "2"


def test_forms_of_a_formula(server: RawTools) -> None:
    for expression, form, exact in (
        ("(x^2 - 1)/(x - 1)", "simplify", "x + 1"),
        ("(x + 1)^2", "expand", "x**2 + 2*x + 1"),
        ("x^2 - 1", "factor", "(x - 1)*(x + 1)"),
    ):
        assert server.call("simplify", expression=expression, form=form)["exact"] == exact


def solutions(told: dict[str, Any]) -> list[dict[str, str]]:
    return [{value["unknown"]: value["exact"] for value in one} for one in told["solutions"]]


def test_equations_are_solved_exactly_or_near_a_number(server: RawTools) -> None:
    told = server.call("solve", equations=["x^2 + y = 5", "x - y = 1"])
    assert solutions(told) == [{"x": "-3", "y": "-4"}, {"x": "2", "y": "1"}]
    assert len(solutions(server.call("solve", equations=["x^5 - x + 1 = 0"]))) == 5
    assert solutions(server.call("solve", equations=["a*x = b"], unknowns=["x"])) == [{"x": "b/a"}]
    assert "start" in server.refusal("solve", equations=["cos(x) = x"])
    near = server.call("solve", equations=["cos(x) = x"], start=1)
    assert (near["exact"], solutions(near)) == (False, [{"x": "0.739085133215161"}])
    assert server.call("solve", equations=["x^2 < 4"])["condition"] == "(-2 < x) & (x < 2)"


def test_no_solution_is_told_apart_from_none_found(server: RawTools) -> None:
    none = server.call("solve", equations=["x + y = 1", "x + y = 2"])
    assert (none["solutions"], none["complete"]) == ([], True)
    unknown = server.call("solve", equations=["exp(x) = 0"])
    assert (unknown["solutions"], unknown["complete"]) == ([], False)
    assert server.call("solve", equations=["x^2 = -1"], domain="real")["complete"]
    assert "nothing unknown" in server.refusal("solve", equations=["1 = 2"])


@pytest.mark.parametrize(
    ("equation", "domain", "complete"),
    [
        ("sin(x) = 0", "complex", False),
        ("sin(x) = 0", "real", False),
        ("tan(x) = 1", "real", False),
        ("exp(x) = 1", "complex", False),
        ("exp(x) = 1", "real", True),
        ("x*exp(x) = 1", "complex", False),
        ("1/x = 2", "complex", True),
        ("abs(x) = 1", "real", True),
        ("x^5 + a*x + 1 = 0", "complex", False),
    ],
)
def test_solutions_are_complete_only_where_no_other_can_be(
    server: RawTools, equation: str, domain: str, *, complete: bool
) -> None:
    told = server.call("solve", equations=[equation], unknowns=["x"], domain=domain)
    assert told["complete"] is complete


def test_every_value_solves_an_identity(server: RawTools) -> None:
    for equations in (["x = x"], ["0*x = 0"], ["sin(x)^2 + cos(x)^2 = 1"], ["x = x", "2*x = x + x"]):
        told = server.call("solve", equations=equations, unknowns=["x"])
        assert (told["solutions"], told["condition"], told["complete"]) == ([], "True", True)
    assert server.call("solve", equations=["x + 1 = x"])["condition"] is None


def test_the_variable_of_a_sum_is_its_own(server: RawTools) -> None:
    for expression, variables, exact in (
        ("sum(x, x, 1, 3)", {"x": "5"}, "6"),
        ("sum(x, x, 1, x)", {"x": "4"}, "10"),
        ("sum(n, k, 1, 3)", {"n": "k"}, "3*k"),
        ("sum(sum(j*k, j, 1, k), k, 1, 4)", {}, "65"),
        ("sum(k, k, 1, n)", {}, "n**2/2 + n/2"),
    ):
        assert server.call("evaluate", expression=expression, variables=variables)["exact"] == exact


def test_a_sum_of_nothing_is_0_and_a_product_1(server: RawTools) -> None:
    assert server.call("evaluate", expression="sum(k, k, 5, 1)")["exact"] == "0"
    assert server.call("evaluate", expression="product(k, k, 5, 1)")["exact"] == "1"
    assert "whole number" in server.refusal("evaluate", expression="sum(k, k, 1, 5/2)")


@pytest.mark.parametrize(
    ("expression", "lower", "upper", "complaint"),
    [
        ("exp(sin(x))/x", "0", "1", "No reliable number"),
        ("1/x", "-1", "1", "not defined"),
        ("tan(x)", "0", "3", "not defined"),
    ],
)
def test_an_integral_without_a_value_is_refused(
    server: RawTools, expression: str, lower: str, upper: str, complaint: str
) -> None:
    assert complaint in server.refusal("integrate", expression=expression, variable="x", lower=lower, upper=upper)


def test_a_derivative_where_there_is_none_is_refused(server: RawTools) -> None:
    for expression in ("1/x", "abs(x)"):
        assert "not defined" in server.refusal("differentiate", expression=expression, variable="x", at="0")


def test_derivatives_and_integrals(server: RawTools) -> None:
    assert server.call("differentiate", expression="x^3", variable="x", order=2)["exact"] == "6*x"
    assert server.call("differentiate", expression="x^3", variable="x", at="2")["exact"] == "12"
    assert server.call("integrate", expression="2*x", variable="x")["exact"] == "x**2"
    told = server.call("integrate", expression="exp(-x^2)", variable="x", lower="-oo", upper="oo")
    assert (told["exact"], told["numeric"]) == ("sqrt(pi)", False)
    told = server.call("integrate", expression="sin(sin(x))", variable="x", lower="0", upper="1")
    assert (told["decimal"][:8], told["numeric"]) == ("0.430606", True)
    assert "No antiderivative" in server.refusal("integrate", expression="x^x", variable="x")
    assert "both" in server.refusal("integrate", expression="x", variable="x", lower="0")
    assert "cannot be a variable" in server.refusal("integrate", expression="x", variable="pi")


def test_statistics_of_numbers(server: RawTools) -> None:
    told = server.call("statistics", values=[2, 4, 4, 4, 5, 5, 7, 9], other=[1, 2, 3, 4, 5, 6, 7, 8])
    assert (told["mean"], told["population_deviation"], told["median"], told["modes"]) == (5, 2, 4.5, [4])
    assert told["together"]["slope"] == pytest.approx(1.0625)
    assert server.call("statistics", values=[1])["deviation"] is None
    assert "same length" in server.refusal("statistics", values=[1, 2], other=[1])
    assert "at least 1" in server.refusal("statistics", values=[])


def test_matrices(server: RawTools) -> None:
    square = [["1", "2"], ["3", "4"]]
    assert server.call("matrix", do="determinant", a=square)["value"]["exact"] == "-2"
    assert server.call("matrix", do="inverse", a=square)["matrix"] == [["-2", "1"], ["3/2", "-1/2"]]
    assert server.call("matrix", do="multiply", a=square, b=[["x"], ["0"]])["matrix"] == [["x"], ["3*x"]]
    assert server.call("matrix", do="solve", a=square, b=[["5"], ["11"]])["matrix"] == [["1"], ["2"]]
    found = server.call("matrix", do="eigenvalues", a=[["2", "0"], ["0", "2"]])["eigenvalues"]
    assert [(one["exact"], one["multiplicity"]) for one in found] == [("2", 2)]
    assert "no inverse" in server.refusal("matrix", do="inverse", a=[["1", "2"], ["2", "4"]])
    assert "do not fit" in server.refusal("matrix", do="multiply", a=square, b=[["1", "2"]])
    assert "same length" in server.refusal("matrix", do="rank", a=[["1", "2"], ["3"]])


async def test_in_the_sandbox_of_its_manifest_it_computes(engine_socket: Path, calculator_image: str) -> None:
    """No workspace, little memory, few processes."""
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation("calculated")) as backend,
        leased(backend, as_leased("calculator", calculator_image, "sums")) as client,
    ):
        result = await client.call_tool("evaluate", {"expression": "2^10"})
        assert result.structured_content
        assert result.structured_content["exact"] == "1024"
        tools = (await client.list_tools()).tools
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
