"""A run as a table for people, as Markdown for pages, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.benchmarks.arithmetic import Figure, Ratio, document

__all__ = ["markdown", "show", "show_table", "write", "write_table"]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"  # digits


def _rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    return [
        (f.name, f.unit, _number(f.median), _number(f.p99), f"{_number(f.low)} - {_number(f.high)}", str(f.samples))
        for f in figures
    ]


FIGURES = ("figure", "unit", "median", "p99", "range", "samples")
RATIOS = ("ratio within the run", "value", "goal")


def show(figures: Sequence[Figure], ratios: Sequence[Ratio], console: Console) -> None:
    """Print both tables."""
    for headings, rows in ((FIGURES, _rows(figures)), (RATIOS, [(r.name, _number(r.value), r.goal) for r in ratios])):
        show_table(headings, rows, console)


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print one."""
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def markdown(figures: Sequence[Figure], ratios: Sequence[Ratio]) -> str:
    """Both tables, ratios first."""
    ratio_rows = [(r.name, _number(r.value), r.goal) for r in ratios]
    return "\n".join([*_markdown_table(RATIOS, ratio_rows), "", *_markdown_table(FIGURES, _rows(figures)), ""])


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def write_table(path: Path, headings: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    """One table as Markdown, with the notes below it."""
    path.write_text("\n".join([*_markdown_table(headings, rows), "", *notes, ""]))


def write(folder: Path, figures: Sequence[Figure], ratios: Sequence[Ratio], about: Mapping[str, Any]) -> Path:
    """Write `bench.json` and `bench.md`; the former's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.md").write_text(markdown(figures, ratios))
    path = folder / "bench.json"
    path.write_text(json.dumps(document(figures, ratios, about), indent=2))
    return path
