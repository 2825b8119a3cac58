"""The list of attacks, and which tests try each of them.

A row belongs to one promise of docs/security.md. With `tests` it names its test functions; without, it has every test
that is marked with its promise and that no other row names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

__all__ = ["ROOT", "MarkedTest", "Row", "RowText", "load_rows", "marked_tests"]

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("attacks")
"""A file for each area, in the order of their names."""


class RowText(BaseModel):
    """One entry. `promise` is one of docs/security.md; `tests` are needed only where a promise has several rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attack: str
    defence: str
    promise: str
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MarkedTest:
    """A test function that is marked with a promise. `file` is relative to the repository."""

    file: str
    function: str
    promise: str


@dataclass(frozen=True, slots=True)
class Row:
    """One attack with its tests, under the heading of its area."""

    area: str
    text: RowText
    tests: tuple[MarkedTest, ...]


def load_rows() -> list[Row]:
    """The list in its order, each row with its tests."""
    files = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(LIST.glob("*.yaml"))]
    texts = [(area, RowText.model_validate(row)) for areas in files for area, rows in areas.items() for row in rows]
    named = {(text.promise, name) for _, text in texts for name in text.tests}
    marked = list(marked_tests())
    return [Row(area, text, tuple(_of(text, marked, named))) for area, text in texts]


def _of(text: RowText, marked: list[MarkedTest], named: set[tuple[str, str]]) -> Iterator[MarkedTest]:
    for test in marked:
        if test.promise != text.promise:
            continue
        if test.function in text.tests or (not text.tests and (test.promise, test.function) not in named):
            yield test


def marked_tests() -> Iterator[MarkedTest]:
    """Every test function under `tests/` with each promise that it or its module is marked with."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        of_module = [name for node in tree.body if _is_pytestmark(node) for name in _promises(node)]
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                own = [name for decorator in node.decorator_list for name in _promises(decorator)]
                for promise in dict.fromkeys([*of_module, *own]):
                    yield MarkedTest(str(path.relative_to(ROOT)), node.name, promise)


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"


def _promises(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.promise":
            name = call.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value
