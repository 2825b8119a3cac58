"""The tools of the `calculator` server."""

from __future__ import annotations

from muxi_servers.calculator.grammar import MAX_CHARACTERS
from muxi_servers.kit.apart import ask_apart
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema, object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-calculator", "title": "Calculator", "version": "0.1.0"}
_INSTRUCTIONS = (
    "Exact mathematics. Formulas are written 2*x^2 + sqrt(3), with pi, e, i, oo, tau and phi as constants; any other "
    "name is a variable. Decimals such as 0.1 are taken exactly."
)
_FORMULA: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
_OPTIONAL = {**_FORMULA, "minLength": 0, "default": ""}
_NAME: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 30}
_SECONDS = {"type": "number", "minimum": 0.5, "maximum": 60, "default": 15, "description": "until it is given up"}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "maxItems": 10_000}
_CELLS = {"type": "array", "items": _FORMULA, "minItems": 1, "maxItems": 20}
_ROWS: dict[str, Any] = {"type": "array", "items": _CELLS, "maxItems": 20}
_NUMBER = {"type": "number"}
_MAYBE = {"type": ["number", "null"]}
_VALUE: dict[str, dict[str, Any]] = {
    "exact": {"type": "string"},
    "decimal": {"type": ["string", "null"], "description": "null if it is no number"},
    "latex": {"type": "string"},
}
_OF_SAMPLE = {**_MAYBE, "description": "of a sample"}
_KINDS = ["integer", "fraction", "real", "complex", "formula", "comparison"]


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve. It has no use for a workspace."""
    del workspace
    make = _Maker(launcher)
    return Server(_INFO, _INSTRUCTIONS, [*_formula_tools(make), *_calculus_tools(make), *_number_tools(make)])


class _Maker:
    """Makes tools whose work is done in a process of its own."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def __call__(
        self,
        name: str,
        title: str,
        description: str,
        arguments: dict[str, dict[str, Any]],
        output: dict[str, Any],
        say: Callable[[dict[str, Any]], str],
    ) -> Tool:
        def compute(call: Call, given: dict[str, Any]) -> ToolResult:
            request = {"operation": name, **given}
            told = ask_apart(
                self._launcher,
                call,
                "muxi_servers.calculator.work:main",
                request,
                seconds=given["timeout_seconds"],
                what="The computation",
            )
            return ToolResult([text(say(told))], told)

        return Tool(
            name,
            compute,
            title=title,
            description=description,
            arguments=arguments_schema(**arguments, timeout_seconds=_SECONDS),
            output=output,
            read_only=True,
            idempotent=True,
        )


def _say_value(told: dict[str, Any]) -> str:
    return told["exact"] if told["decimal"] in {None, told["exact"]} else f"{told['exact']} = {told['decimal']}"


def _say_solutions(told: dict[str, Any]) -> str:
    if told["condition"] == "True":
        return "[every value solves it, where it is defined]"
    if told["condition"]:
        return str(told["condition"])
    lines = [", ".join(f"{value['unknown']} = {_say_value(value)}" for value in one) for one in told["solutions"]]
    if not lines:
        return (
            "[no solution]"
            if told["complete"]
            else "[none was found, but there may be some; give start to look near it]"
        )
    return "\n".join(lines if told["complete"] or not told["exact"] else [*lines, "[and more solutions]"])


def _say_statistics(told: dict[str, Any]) -> str:
    names = ("count", "sum", "mean", "median", "deviation", "min", "max")
    together = told["together"] or {}
    return ", ".join(
        [f"{name} {told[name]}" for name in names] + [f"{name} {value}" for name, value in together.items()]
    )


def _say_matrix(told: dict[str, Any]) -> str:
    if told["value"]:
        return _say_value(told["value"])
    if told["matrix"] is not None:
        return "\n".join("[" + ", ".join(row) + "]" for row in told["matrix"])
    return "\n".join(f"{_say_value(value)} ({value['multiplicity']} times)" for value in told["eigenvalues"])


def _formula_tools(make: _Maker) -> list[Tool]:
    variables = {
        "type": "object",
        "additionalProperties": _FORMULA,
        "default": {},
        "description": 'values of variables, such as {"x": "1/3"}',
    }
    digits = {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 15, "description": "of the decimal number"}
    forms = ["simplify", "expand", "factor", "together", "partial_fractions", "trigonometric", "cancel"]
    start = {"type": ["number", "null"], "default": None, "description": "a number near a solution: find that one"}
    solution = {"type": "array", "items": object_schema({"unknown": {"type": "string"}, **_VALUE})}
    return [
        make(
            "evaluate",
            "Evaluate",
            "The exact value of a formula, and the decimal number; or whether a comparison such as 1/3 < 0.34 is true.",
            {"expression": _FORMULA, "variables": variables, "digits": digits},
            object_schema({**_VALUE, "kind": {"type": "string", "enum": _KINDS}}),
            _say_value,
        ),
        make(
            "simplify",
            "Simplify",
            "Another form of a formula: simpler, expanded, factored and so on.",
            {"expression": _FORMULA, "form": {"type": "string", "enum": forms, "default": "simplify"}},
            object_schema(_VALUE),
            _say_value,
        ),
        make(
            "solve",
            "Solve",
            "Solve equations (x^2 = 2), or inequalities with one unknown (x^2 < 2), exactly; or near a number.",
            {
                "equations": {"type": "array", "items": _FORMULA, "minItems": 1, "maxItems": 10},
                "unknowns": {"type": "array", "items": _NAME, "maxItems": 10, "default": []},
                "domain": {"type": "string", "enum": ["complex", "real"], "default": "complex"},
                "start": start,
            },
            object_schema(
                {
                    "solutions": {"type": "array", "items": solution},
                    "condition": {
                        "type": ["string", "null"],
                        "description": "of an inequality; True if all values solve it",
                    },
                    "complete": {"type": "boolean", "description": "false if there may be more"},
                    "exact": {"type": "boolean"},
                }
            ),
            _say_solutions,
        ),
    ]


def _calculus_tools(make: _Maker) -> list[Tool]:
    order = {"type": "integer", "minimum": 1, "maximum": 20, "default": 1}
    return [
        make(
            "differentiate",
            "Differentiate",
            "The derivative of a formula, or its value at a point.",
            {
                "expression": _FORMULA,
                "variable": _NAME,
                "order": order,
                "at": {**_OPTIONAL, "description": "where; empty: in general"},
            },
            object_schema(_VALUE),
            _say_value,
        ),
        make(
            "integrate",
            "Integrate",
            "An antiderivative, or with lower and upper the integral: exactly if it can be, else as a number.",
            {
                "expression": _FORMULA,
                "variable": _NAME,
                "lower": {**_OPTIONAL, "description": "such as 0 or -oo"},
                "upper": _OPTIONAL,
            },
            object_schema({**_VALUE, "numeric": {"type": "boolean", "description": "whether it is approximate"}}),
            _say_value,
        ),
    ]


def _number_tools(make: _Maker) -> list[Tool]:
    counted = {"type": "integer", "minimum": 1}
    eigenvalue = object_schema({**_VALUE, "multiplicity": counted})
    together = object_schema(
        {"covariance": _NUMBER, "correlation": _MAYBE, "slope": _NUMBER, "intercept": _NUMBER},
    )
    operations = [
        *("determinant", "inverse", "transpose", "rank", "rref", "eigenvalues", "add", "multiply", "solve"),
    ]
    return [
        make(
            "statistics",
            "Statistics",
            "Mean, median, deviation, quartiles and the like of numbers; with other, correlation and the best line.",
            {
                "values": {**_NUMBERS, "minItems": 1},
                "other": {**_NUMBERS, "default": [], "description": "as many numbers that belong to the first"},
            },
            object_schema(
                {
                    "count": counted,
                    **dict.fromkeys(("sum", "mean", "median"), _NUMBER),
                    "modes": {"type": "array", "items": _NUMBER, "description": "the most frequent, 10 at most"},
                    **dict.fromkeys(("min", "max"), _NUMBER),
                    "quartiles": {"type": "array", "items": _NUMBER},
                    **dict.fromkeys(("variance", "deviation"), _OF_SAMPLE),
                    **dict.fromkeys(("population_variance", "population_deviation"), _NUMBER),
                    "together": {**together, "type": ["object", "null"]},
                }
            ),
            _say_statistics,
        ),
        make(
            "matrix",
            "Matrices",
            "Compute with matrices of formulas. solve finds x where a times x is b.",
            {
                "do": {"type": "string", "enum": operations},
                "a": {**_ROWS, "minItems": 1, "description": "rows of formulas"},
                "b": {**_ROWS, "default": [], "description": "for add, multiply and solve"},
            },
            object_schema(
                {
                    "matrix": {"type": ["array", "null"], "items": {"type": "array", "items": {"type": "string"}}},
                    "value": {**object_schema(_VALUE), "type": ["object", "null"]},
                    "eigenvalues": {"type": ["array", "null"], "items": eigenvalue},
                }
            ),
            _say_matrix,
        ),
    ]
