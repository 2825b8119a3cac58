"""docs/security.md and the tests name each other: no promise without a test, no test of a promise that nobody made."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADING = re.compile(r"^### `([a-z0-9-]+)`$")
TEST_FILE = re.compile(r"`(tests/[\w/]+\.py)`")


def promised() -> dict[str, set[str]]:
    """Promise to the test files that its section names."""
    promises: dict[str, set[str]] = {}
    name = None
    for line in (ROOT / "docs/security.md").read_text().splitlines():
        if line.startswith("#"):
            heading = HEADING.match(line)
            name = heading.group(1) if heading else None
            if name is not None:
                assert name not in promises, f"{name} is promised twice"
                promises[name] = set()
        elif name is not None:
            promises[name].update(TEST_FILE.findall(line))
    return promises


def kept_by() -> dict[str, set[str]]:
    """Promise to the test files that hold a test marked with it."""
    tests: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in marks(ast.parse(path.read_text())):
            tests.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return tests


def marks(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
            assert isinstance(node.args[0], ast.Constant), "a promise is named by a literal"
            yield node.args[0].value


def test_every_promise_names_its_tests_and_every_such_test_its_promise():
    assert promised() == kept_by()


def test_every_file_of_attacks_keeps_a_promise():
    attacks = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/security").glob("test_*.py")}
    assert attacks - set().union(*kept_by().values()) == set()
