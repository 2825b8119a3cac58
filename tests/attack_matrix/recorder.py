"""Listens to pytest: what came of each test function, however many parameters it ran with."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Self

import pytest

__all__ = ["Outcome", "Recorder"]


@dataclass(slots=True)
class Outcome:
    """How often one test function held, broke and was not run to its end."""

    held: int = 0
    broke: int = 0
    skipped: int = 0

    def __iadd__(self, other: Outcome) -> Self:
        self.held += other.held
        self.broke += other.broke
        self.skipped += other.skipped
        return self


class Recorder:
    """A pytest plugin. `outcomes` is by file and function."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], Outcome] = defaultdict(Outcome)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for the set-up, the call and the tear-down of each test."""
        path, _, rest = report.nodeid.partition("::")
        outcome = self.outcomes[path, rest.partition("[")[0]]
        if report.failed:
            outcome.broke += 1
        elif report.skipped:
            outcome.skipped += 1
        elif report.when == "call":
            outcome.held += 1
