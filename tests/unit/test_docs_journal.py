"""docs/journal.md names every kind of event that the code appends, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ROOT / "runtime" / "muxi_runtime"
KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
ROW = re.compile(r"^\| `([a-z_.]+)` \| [^|]+ \| [^|]* \|$", re.MULTILINE)
NOT_APPENDED = {CODE / "journal" / "conformance.py"}
"""Drafts that tests of journals append."""


def trees() -> Iterator[ast.Module]:
    for path in sorted(CODE.rglob("*.py")):
        if path not in NOT_APPENDED:
            yield ast.parse(path.read_text(encoding="utf-8"))


def appended(tree: ast.Module, shared: set[str]) -> set[str]:
    """Kinds in calls of `Draft`, of functions here that hand their `kind` on to it, and of `shared` ones elsewhere."""
    makers = {"Draft", *shared, *(function.name for function in functions(tree) if hands_kind_on(function))}
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    kinds: set[str] = set()
    for call in calls(tree, makers):
        arguments = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "kind")]
        texts = [
            argument.value if isinstance(argument, ast.Constant) else constants.get(ast.unparse(argument))
            for argument in arguments
        ]
        kinds |= {text for text in texts if isinstance(text, str) and KIND.fullmatch(text)}
    return kinds


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def hands_kind_on(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(argument, ast.Name) and argument.id == "kind"
        for call in calls(function, {"Draft"})
        for argument in call.args
    )


def is_public(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return not function.name.startswith("_")


def calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    return (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names
    )


def test_every_kind_that_is_appended_is_documented_and_every_documented_one_is_appended():
    documented = ROW.findall((ROOT / "docs" / "journal.md").read_text(encoding="utf-8"))
    shared = {
        function.name
        for tree in trees()
        for function in functions(tree)
        if hands_kind_on(function) and is_public(function)
    }
    in_code = set().union(*(appended(tree, shared) for tree in trees()))
    assert len(in_code) > 10, "the search has gone blind"
    assert sorted(documented) == sorted(in_code)
