"""Samples to figures: medians, percentiles, ratios within one run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Figure", "Ratio", "document", "figure", "ratio"]

ENOUGH_FOR_P99 = 50
"""With fewer samples the 99th percentile is the maximum and says nothing of its own."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured. Times are in ms, memory in MiB."""

    name: str
    unit: str
    samples: int
    median: float
    low: float
    high: float
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure over another of the same run: the median of the pairs' ratios, round by round."""

    name: str
    value: float
    goal: str = ""


def figure(name: str, unit: str, samples: Sequence[float]) -> Figure:
    """Summarise samples; there must be one at least."""
    ordered = sorted(samples)
    p99 = ordered[math.ceil(0.99 * len(ordered)) - 1] if len(ordered) >= ENOUGH_FOR_P99 else None
    return Figure(name, unit, len(ordered), statistics.median(ordered), ordered[0], ordered[-1], p99)


def ratio(name: str, over: Sequence[float], under: Sequence[float], goal: str = "") -> Ratio:
    """Rounds pair up in order, so that the machine's drift falls on both; a figure without rounds counts for each."""
    if len(over) == len(under):
        return Ratio(name, statistics.median(a / b for a, b in zip(over, under, strict=True)), goal)
    return Ratio(name, statistics.median(over) / statistics.median(under), goal)


def document(figures: Sequence[Figure], ratios: Sequence[Ratio], about: Mapping[str, Any]) -> dict[str, Any]:
    """The run as JSON values: `about`, `figures`, `ratios`."""
    return {"about": dict(about), "figures": [asdict(f) for f in figures], "ratios": [asdict(r) for r in ratios]}
