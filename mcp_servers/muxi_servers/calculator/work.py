"""What the calculator computes. Runs in a process of its own, with limits of memory and processor time."""

from __future__ import annotations

import resource
import sys

import sympy

from muxi_servers.calculator.formulas import Formulas, tell
from muxi_servers.calculator.grammar import COMPARISONS, parse
from muxi_servers.calculator.matrices import matrix
from muxi_servers.calculator.numbers import statistics
from muxi_servers.kit.apart import answer_apart
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_MEMORY_BYTES = 448 * 2**20
_CPU_SECONDS = 60
_MAX_INTEGER_DIGITS = 21_000
_MAX_SOLUTIONS = 100
_LEAST_BITS = 40  # of an integral's number; SymPy marks one that did not converge by a precision of a few bits


def main() -> int:
    """Compute what standard input asks for."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    sys.set_int_max_str_digits(_MAX_INTEGER_DIGITS)
    sys.setrecursionlimit(5_000)
    return answer_apart(_compute)


def _compute(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return _OPERATIONS[request["operation"]](request)
    except NotImplementedError:
        raise ToolError("No way to compute this exactly is known here.") from None
    except (ArithmeticError, ValueError, TypeError, sympy.SympifyError) as error:
        raise ToolError(f"This cannot be computed: {str(error)[:300] or type(error).__name__}.") from None


def _evaluate(request: dict[str, Any]) -> dict[str, Any]:
    formulas = Formulas(request["variables"])
    tree = parse(request["expression"])
    if tree[0] not in COMPARISONS:
        value = formulas.build(tree)
        return {**tell(value, int(request["digits"])), "kind": _kind(value)}
    relation = formulas.relation(request["expression"])
    if isinstance(relation, sympy.Eq):
        relation = sympy.Eq(sympy.simplify(relation.lhs - relation.rhs), 0)
    return {**tell(sympy.simplify(relation)), "kind": "comparison"}


def _kind(value: Any) -> str:  # noqa: ANN401 - SymPy has no types of ours
    if not value.is_number:
        return "formula"
    kinds = (("integer", value.is_Integer), ("fraction", value.is_Rational), ("real", value.is_real))
    return next((name for name, fits in kinds if fits), "complex")


def _simplify(request: dict[str, Any]) -> dict[str, Any]:
    value = Formulas().expression(request["expression"])
    forms = {"trigonometric": sympy.trigsimp, "partial_fractions": sympy.apart}
    return tell((forms.get(request["form"]) or getattr(sympy, request["form"]))(value))


def _solve(request: dict[str, Any]) -> dict[str, Any]:
    formulas = Formulas(real=request["domain"] == "real")
    relations = [formulas.relation(text) for text in request["equations"]]
    free = sorted(set().union(*(relation.free_symbols for relation in relations)), key=str)
    unknowns = [formulas.symbol(name) for name in request["unknowns"]] or free
    if not unknowns:
        raise ToolError("There is nothing unknown in it; evaluate says whether it is true.")
    if any(not isinstance(relation, sympy.Eq) for relation in relations):
        return _solve_inequality(relations, unknowns)
    if request["start"] is not None:
        return _solve_numerically(relations, unknowns, request["start"])
    return _solve_exactly([relation.lhs - relation.rhs for relation in relations], unknowns, request["domain"])


def _solve_exactly(sides: list[Any], unknowns: list[Any], domain: str) -> dict[str, Any]:
    """`sides` are what is to be 0."""
    if all(_is_zero(side, unknowns) for side in sides):
        return {"solutions": [], "condition": "True", "complete": True, "exact": True}
    asked = (sides[0], unknowns[0]) if len(sides) == len(unknowns) == 1 else (sides, unknowns)
    try:
        found = sympy.solve(*asked, dict=True)
    except NotImplementedError:
        raise ToolError("No exact solution is known here; give start, a number near one, to find it.") from None
    told = [[_value(symbol, value) for symbol, value in one.items()] for one in found[:_MAX_SOLUTIONS]]
    complete = len(found) <= _MAX_SOLUTIONS and _are_all(
        found, [sympy.expand(side) for side in sides], unknowns, domain
    )
    return {"solutions": told, "condition": None, "complete": complete, "exact": True}


def _is_zero(side: Any, unknowns: list[Any]) -> bool:  # noqa: ANN401 - as above
    """For all values. Of a polynomial, `expand` says it, and much faster."""
    return sympy.expand(side) == 0 or (not side.is_polynomial(*unknowns) and sympy.simplify(side) == 0)


def _are_all(found: list[Any], sides: list[Any], unknowns: list[Any], domain: str) -> bool:
    """Whether no other solution can be: SymPy's `solve` leaves out periods, and finds none where it knows no way."""
    alone = len(sides) == len(unknowns) == 1
    try:
        polynomials = [sympy.Poly(side, *unknowns) for side in sides]
        if found:
            return True
        if alone:  # with symbols in its coefficients, there may be roots that no formula is known for
            return polynomials[0].is_ground or not polynomials[0].free_symbols_in_domain
        return bool(sympy.groebner(sides, *unknowns).exprs == [1])
    except sympy.PolynomialError:
        return alone and _are_finite(found, sides[0], unknowns[0], domain)


def _are_finite(found: list[Any], side: Any, unknown: Any, domain: str) -> bool:  # noqa: ANN401 - as above
    """Whether `solveset`, which tells periods, has these solutions and no more."""
    if domain != "real" and any(value.has(sympy.LambertW) for one in found for value in one.values()):
        return False  # one of endlessly many branches
    try:
        known = sympy.solveset(side, unknown, sympy.S.Reals if domain == "real" else sympy.S.Complexes)
    except (NotImplementedError, ValueError, TypeError):
        return False
    return isinstance(known, sympy.FiniteSet) and len(known) <= len(found)


def _solve_inequality(relations: list[Any], unknowns: list[Any]) -> dict[str, Any]:
    if len(unknowns) != 1:
        raise ToolError("Inequalities are solved for one unknown only.")
    (unknown,) = unknowns
    real = sympy.Symbol(unknown.name, real=True)
    found = sympy.reduce_inequalities([relation.subs(unknown, real) for relation in relations], [real])
    return {"solutions": [], "condition": tell(found)["exact"], "complete": True, "exact": True}


def _solve_numerically(relations: list[Any], unknowns: list[Any], start: float) -> dict[str, Any]:
    sides = [relation.lhs - relation.rhs for relation in relations]
    if len(sides) != len(unknowns):
        raise ToolError("A numeric solution needs as many equations as unknowns.")
    found = sympy.nsolve(sides, unknowns, [start] * len(unknowns), prec=15)
    told = [_value(symbol, value) for symbol, value in zip(unknowns, found, strict=True)]
    return {"solutions": [told], "condition": None, "complete": False, "exact": False}


def _value(symbol: Any, value: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return {"unknown": str(symbol), **tell(value)}


def _differentiate(request: dict[str, Any]) -> dict[str, Any]:
    formulas = Formulas()
    variable = formulas.symbol(request["variable"])
    found = sympy.diff(formulas.expression(request["expression"]), variable, int(request["order"]))
    if request["at"]:
        found = found.subs(variable, formulas.expression(request["at"]))
    return tell(sympy.simplify(found))


def _integrate(request: dict[str, Any]) -> dict[str, Any]:
    formulas = Formulas()
    variable = formulas.symbol(request["variable"])
    value = formulas.expression(request["expression"])
    lower, upper = request["lower"], request["upper"]
    if bool(lower) != bool(upper):
        raise ToolError("Give both lower and upper, or neither.")
    if not lower:
        found = sympy.integrate(value, variable)
        if found.has(sympy.Integral):
            raise ToolError("No antiderivative was found; give lower and upper for a number.")
        return {**tell(found), "numeric": False}
    limits = (variable, formulas.expression(lower), formulas.expression(upper))
    found = sympy.integrate(value, limits)
    if not found.has(sympy.Integral):
        return {**tell(found), "numeric": False}
    number = sympy.Integral(value, limits).evalf(15)
    if not number.is_number or number.has(sympy.Integral):
        raise ToolError("The integral was not found, neither exactly nor as a number.")
    if any(part._prec < _LEAST_BITS for part in number.atoms(sympy.Float)):  # noqa: SLF001 - told nowhere else
        raise ToolError("No reliable number was found for the integral: it may be infinite. Try parts of the interval.")
    return {**tell(number), "numeric": True}


def _matrix(request: dict[str, Any]) -> dict[str, Any]:
    return matrix(request, Formulas())


_OPERATIONS = {
    "evaluate": _evaluate,
    "simplify": _simplify,
    "solve": _solve,
    "differentiate": _differentiate,
    "integrate": _integrate,
    "statistics": statistics,
    "matrix": _matrix,
}
