"""Trees to SymPy's expressions, and those to text. Runs in a process of its own.

A tree is built node by node from the functions named here; SymPy's own parser, which evaluates Python, is never used.
What would be too large is refused before it is computed, as far as that can be told; the process's limits are the rest.
"""

from __future__ import annotations

from math import log2

import sympy

from muxi_servers.calculator.grammar import COMPARISONS, parse
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.calculator.grammar import Tree

__all__ = ["Formulas", "tell"]

_MAX_BITS = 66_438  # 20,000 digits
_MAX_EXPONENT = 10_000
_MAX_FACTORIAL = 6_000
_MAX_SHOWN = 25_000
_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "oo": sympy.oo, "tau": 2 * sympy.pi, "phi": sympy.GoldenRatio}
_PLAIN = (
    *("sqrt", "cbrt", "root", "exp", "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "atan2"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sign", "floor", "ceiling", "re", "im", "conjugate", "arg"),
    *("erf", "gcd", "lcm"),
)
_COUNTS = {"root": (2, 2), "atan2": (2, 2), "gcd": (2, 2), "lcm": (2, 2)}
_BUILT: dict[str, tuple[int, int, Any]] = {
    **{name: (*_COUNTS.get(name, (1, 1)), getattr(sympy, name)) for name in _PLAIN},
    "ln": (1, 1, sympy.log),
    "log": (1, 2, sympy.log),
    "log10": (1, 1, lambda value: sympy.log(value, 10)),
    "log2": (1, 1, lambda value: sympy.log(value, 2)),
    "abs": (1, 1, sympy.Abs),
    "min": (1, 50, sympy.Min),
    "max": (1, 50, sympy.Max),
    "mod": (2, 2, sympy.Mod),
    "round": (1, 1, lambda value: sympy.floor(value + sympy.Rational(1, 2))),
}
_RELATIONS = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge, "!=": sympy.Ne}


class Formulas:
    """Makes expressions; `values` are formulas by the name of their variable, `real` says what unknowns are."""

    def __init__(self, values: dict[str, str] | None = None, *, real: bool = False) -> None:
        self._real = real
        self._values: dict[str, Any] = {}
        for name, text in (values or {}).items():
            self.symbol(name)
            self._values[name] = self.expression(text)

    def expression(self, text: str) -> Any:  # noqa: ANN401 - SymPy has no types of ours
        """The expression of a formula that is no equation.

        Raises:
            ToolError: it is no formula, too large, or undefined.
        """
        tree = parse(text)
        if tree[0] in COMPARISONS:
            raise ToolError(f"{text[:60]!r} compares; give one side only, or use solve.")
        return self.build(tree)

    def relation(self, text: str) -> Any:  # noqa: ANN401 - as above
        """An equation or inequality; a formula alone is set equal to 0."""
        tree = parse(text)
        if tree[0] not in COMPARISONS:
            return sympy.Eq(self.build(tree), 0, evaluate=False)
        left, right = self.build(tree[1]), self.build(tree[2])
        return sympy.Eq(left, right, evaluate=False) if tree[0] == "=" else _RELATIONS[tree[0]](left, right)

    def symbol(self, name: str) -> Any:  # noqa: ANN401 - as above
        """A variable.

        Raises:
            ToolError: the name is no variable's.
        """
        if name in _CONSTANTS or parse(name) != ("name", name):
            raise ToolError(f"{name[:30]!r} cannot be a variable: it is a constant, or no name.")
        return sympy.Symbol(name, real=True if self._real else None)

    def build(self, tree: Tree) -> Any:  # noqa: ANN401 - as above
        """The expression of a tree."""
        kind, *parts = tree
        if kind == "number":
            return sympy.Rational(parts[0])
        if kind == "name":
            return self._name(parts[0])
        if kind == "call":
            return self._call(parts[0], parts[1])
        if kind in COMPARISONS:
            raise ToolError("A comparison cannot stand inside a formula.")
        return _defined(_operate(kind, [self.build(part) for part in parts]))

    def _name(self, name: str) -> Any:  # noqa: ANN401 - as above
        if name in self._values:
            return self._values[name]
        return _CONSTANTS[name] if name in _CONSTANTS else self.symbol(name)

    def _call(self, name: str, arguments: list[Tree]) -> Any:  # noqa: ANN401 - as above
        if name in {"sum", "product"}:
            return self._series(name, arguments)
        values = [self.build(argument) for argument in arguments]
        if name in {"factorial", "gamma", "binomial"}:
            return _combinatorial(name, values)
        if name not in _BUILT:
            known = ", ".join(sorted([*_BUILT, "factorial", "gamma", "binomial", "sum", "product"]))
            raise ToolError(f"There is no function {name!r}; there are {known}.")
        least, most, function = _BUILT[name]
        _check_count(name, values, least, most)
        return _defined(function(*values))

    def _series(self, name: str, arguments: list[Tree]) -> Any:  # noqa: ANN401 - as above
        _check_count(name, arguments, 4, 4)
        if arguments[1][0] != "name":
            raise ToolError(f"{name} is written {name}(formula, variable, first, last).")
        variable = self.symbol(arguments[1][1])
        first, last = (self.build(arguments[at]) for at in (2, 3))
        _check_limits(name, first, last)
        # Its own symbol, so that neither a value given for the name nor a value that has the name in it gets in.
        bound = sympy.Dummy(variable.name, real=variable.is_real)
        term = self._with(variable.name, bound).build(arguments[0])
        if (last - first).is_negative:
            return sympy.Integer(0 if name == "sum" else 1)
        found = (sympy.summation if name == "sum" else sympy.product)(term, (bound, first, last))
        return _defined(found if variable in found.free_symbols else found.xreplace({bound: variable}))

    def _with(self, name: str, value: Any) -> Formulas:  # noqa: ANN401 - as above
        inner = Formulas(real=self._real)
        inner._values = {**self._values, name: value}
        return inner


def _check_limits(name: str, first: Any, last: Any) -> None:  # noqa: ANN401 - as above
    if any(limit.is_number and not limit.is_infinite and limit.is_integer is False for limit in (first, last)):
        raise ToolError(f"{name} goes from one whole number to another.")
    if first.is_Integer and last.is_Integer and last - first > _MAX_EXPONENT:
        raise ToolError(f"{name} takes at most {_MAX_EXPONENT} terms between numbers.")


def _check_count(name: str, values: list[Any], least: int, most: int) -> None:
    if not least <= len(values) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ToolError(f"{name} takes {wanted} arguments, not {len(values)}.")


def _operate(kind: str, values: list[Any]) -> Any:  # noqa: ANN401 - as above
    first = values[0]
    if kind == "negate":
        return -first
    if kind == "factorial":
        return _combinatorial("factorial", values)
    second = values[1]
    if kind in {"/", "%"} and second == 0:
        raise ToolError("The formula divides by zero.")
    if kind == "^":
        return _power(first, second)
    results = {"+": first.__add__, "-": first.__sub__, "*": first.__mul__, "/": first.__truediv__, "%": first.__mod__}
    return results[kind](second)


def _power(base: Any, exponent: Any) -> Any:  # noqa: ANN401 - as above
    if exponent.is_Rational:
        size = abs(exponent)
        bits = log2(max(abs(base.p), base.q)) if base.is_Rational else 0
        if bits * size > _MAX_BITS or (not base.is_Atom and size > _MAX_EXPONENT):
            raise ToolError(f"{_short(base)} to the power {_short(exponent)} is too large: 20,000 digits at most.")
    return base**exponent


def _combinatorial(name: str, values: list[Any]) -> Any:  # noqa: ANN401 - as above
    _check_count(name, values, *((2, 2) if name == "binomial" else (1, 1)))
    if any(value.is_number and not abs(value) <= _MAX_FACTORIAL for value in values):
        raise ToolError(f"{name} takes numbers up to {_MAX_FACTORIAL} only.")
    return _defined(getattr(sympy, name)(*values))


def _defined(value: Any) -> Any:  # noqa: ANN401 - as above
    if value.has(sympy.zoo, sympy.nan):
        raise ToolError("The formula divides by zero, or is not defined there.")
    return value


def _short(value: Any) -> str:  # noqa: ANN401 - as above
    try:
        shown = str(value)
    except ValueError:  # more digits than Python shows
        return "a large number"
    return shown if len(shown) <= 40 else f"{shown[:40]}..."  # noqa: PLR2004 - of a message


def tell(value: Any, digits: int = 15) -> dict[str, Any]:  # noqa: ANN401 - as above
    """An expression for the caller: exactly, as a decimal number where it is one, and in LaTeX.

    Raises:
        ToolError: it is undefined, or too long to show.
    """
    _defined(value)
    try:
        exact = sympy.sstr(value)
    except ValueError:
        raise ToolError("The result has more than 20,000 digits.") from None
    if len(exact) > _MAX_SHOWN:
        raise ToolError(f"The result has {len(exact)} characters, too many to show: ask for a part of it.")
    number = getattr(value, "is_number", False) and not isinstance(value, sympy.logic.boolalg.Boolean)
    decimal = None
    if number:
        short = value.is_Integer and len(exact) <= digits
        decimal = exact if short else sympy.sstr(_defined(sympy.N(value, digits)), full_prec=False)
    return {"exact": exact, "decimal": decimal, "latex": sympy.latex(value)}
