"""The matrix as a table for people, as Markdown for pages and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.attack_matrix.recorder import Outcome
from tests.attack_matrix.rows import Row

__all__ = ["Result", "judge", "page", "show", "write"]

HEAD = """# Attacks

What the tests try against real sandboxes, a real gateway and real files, and what is to stop it. `make security` runs
all of it on your machine and writes what came of each to `security-results/`. Each row belongs to a promise of the
[security page](security.md), which also lists what is *not* defended.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One row with what came of its tests."""

    row: Row
    outcome: Outcome

    @property
    def word(self) -> str:
        """`held`, `BROKEN`, or `not run` if any of its tests was not."""
        if self.outcome.broke:
            return "BROKEN"
        return "not run" if self.outcome.skipped or not self.outcome.held else "held"


def judge(rows: Sequence[Row], outcomes: Mapping[tuple[str, str], Outcome]) -> list[Result]:
    """Each row's result. A test that never reported counts as not run."""
    results = []
    for row in rows:
        total = Outcome()
        for test in row.tests:
            total += outcomes.get((test.file, test.function), Outcome(skipped=1))
        results.append(Result(row, total))
    return results


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table."""
    table = Table("attack", "defence", "result", header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for area in dict.fromkeys(result.row.area for result in results):
        table.add_row(f"[bold]{area}[/]", "", "")
        for result in (one for one in results if one.row.area == area):
            colour = "green" if result.word == "held" else "red"
            told = f"[{colour}]{result.word}[/] ({result.outcome.held})"
            table.add_row(f"  {result.row.text.attack}", result.row.text.defence, told)
    console.print(table)


def write(folder: Path, results: Sequence[Result], about: Mapping[str, Any]) -> None:
    """Write `matrix.md` and `matrix.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Attack matrix", "", *(f"- {key}: {value}" for key, value in about.items()), ""]
    for area in dict.fromkeys(result.row.area for result in results):
        lines += [f"## {area}", "", "| attack | defence | result |", "| --- | --- | --- |"]
        lines += [
            f"| {one.row.text.attack} | {one.row.text.defence} | {one.word} ({one.outcome.held}) |"
            for one in results
            if one.row.area == area
        ]
        lines.append("")
    (folder / "matrix.md").write_text("\n".join(lines), "utf-8")
    (folder / "matrix.json").write_text(json.dumps({**about, "attacks": [_facts(one) for one in results]}, indent=2))


def _facts(result: Result) -> dict[str, Any]:
    text, outcome = result.row.text, result.outcome
    return {
        "area": result.row.area,
        "attack": text.attack,
        "defence": text.defence,
        "promise": text.promise,
        "result": result.word,
        "held": outcome.held,
        "broke": outcome.broke,
        "not_run": outcome.skipped,
        "tests": [f"{test.file}::{test.function}" for test in result.row.tests],
    }


def page(rows: Sequence[Row]) -> str:
    """docs/attacks.md: the list without results, with how many tests each row has."""
    lines = [HEAD]
    for area in dict.fromkeys(row.area for row in rows):
        lines += [f"## {area}", "", "| attack | defence | promise | tests |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {row.text.attack} | {row.text.defence} | [{row.text.promise}](security.md#{row.text.promise}) "
            f"| {len(row.tests)} |"
            for row in rows
            if row.area == area
        ]
        lines.append("")
    return "\n".join(lines)
