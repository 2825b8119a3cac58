"""Matrices of formulas."""

from __future__ import annotations

import sympy

from muxi_servers.calculator.formulas import Formulas, tell
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["matrix"]


def matrix(request: dict[str, Any], formulas: Formulas) -> dict[str, Any]:
    """What `do` makes of `a` and `b`: a matrix, a value, or eigenvalues with how often each comes.

    Raises:
        ToolError: they do not fit, or there is no such thing.
    """
    operation = request["do"]
    first = _read(request["a"], "a", formulas)
    if operation in _OF_TWO:
        second = _read(request["b"], "b", formulas) if request["b"] else None
        if second is None:
            raise ToolError(f"{operation} needs a second matrix, b.")
        return _tell(_of_two(operation, first, second))
    return _tell(_OF_ONE[operation](first))


def _read(rows: list[list[str]], name: str, formulas: Formulas) -> Any:  # noqa: ANN401 - SymPy has no types of ours
    if len({len(row) for row in rows}) != 1:
        raise ToolError(f"The rows of {name} do not have the same length.")
    return sympy.Matrix([[formulas.expression(cell) for cell in row] for row in rows])


def _of_two(operation: str, first: Any, second: Any) -> Any:  # noqa: ANN401 - as above
    try:
        return _OF_TWO[operation](first, second)
    except sympy.matrices.exceptions.NonInvertibleMatrixError:
        raise ToolError("a has no inverse, so there is not exactly one solution; rref shows what there is.") from None
    except sympy.ShapeError:
        raise ToolError(f"The shapes {first.shape} and {second.shape} do not fit for {operation}.") from None


def _square(found: Any) -> Any:  # noqa: ANN401 - as above
    if found.rows != found.cols:
        raise ToolError(f"It takes a square matrix, not one of {found.rows} by {found.cols}.")
    return found


def _inverse(found: Any) -> Any:  # noqa: ANN401 - as above
    try:
        return _square(found).inv()
    except sympy.matrices.exceptions.NonInvertibleMatrixError:
        raise ToolError("The matrix has no inverse: its determinant is 0.") from None


_OF_ONE: dict[str, Callable[[Any], Any]] = {
    "determinant": lambda found: _square(found).det(),
    "inverse": _inverse,
    "transpose": lambda found: found.T,
    "rank": lambda found: sympy.Integer(found.rank()),
    "rref": lambda found: found.rref()[0],
    "eigenvalues": lambda found: _square(found).eigenvals(),
}
_OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda first, second: first + second,
    "multiply": lambda first, second: first * second,
    "solve": lambda first, second: _square(first).LUsolve(second),
}


def _tell(found: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    told: dict[str, Any] = {"matrix": None, "value": None, "eigenvalues": None}
    if isinstance(found, dict):
        told["eigenvalues"] = [{**tell(value), "multiplicity": int(count)} for value, count in found.items()]
    elif isinstance(found, sympy.MatrixBase):
        simple = found.applyfunc(sympy.simplify)
        told["matrix"] = [[tell(cell)["exact"] for cell in simple.row(row)] for row in range(simple.rows)]
    else:
        told["value"] = tell(sympy.simplify(found))
    return told
