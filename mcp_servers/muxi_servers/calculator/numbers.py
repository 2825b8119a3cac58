"""Statistics of a list of numbers, and of two lists together."""

from __future__ import annotations

import statistics as library
from collections import Counter
from math import fsum

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["statistics"]

_MAX_MODES = 10


def statistics(request: dict[str, Any]) -> dict[str, Any]:
    """Of `values`, and how `other` goes with them if it is given.

    Raises:
        ToolError: the lists do not have the same length.
    """
    values, other = request["values"], request["other"]
    many = len(values) > 1
    ordered = sorted(values)
    counts = Counter(values).most_common(_MAX_MODES)
    return {
        "count": len(values),
        "sum": fsum(values) if any(isinstance(value, float) for value in values) else sum(values),
        "mean": library.mean(values),
        "median": library.median(ordered),
        "modes": [value for value, count in counts if count == counts[0][1]],
        "min": ordered[0],
        "max": ordered[-1],
        "quartiles": library.quantiles(ordered, n=4, method="inclusive") if many else [ordered[0]] * 3,
        "variance": library.variance(values) if many else None,
        "deviation": library.stdev(values) if many else None,
        "population_variance": library.pvariance(values),
        "population_deviation": library.pstdev(values),
        "together": _together(values, other) if other else None,
    }


def _together(values: list[float], other: list[float]) -> dict[str, Any]:
    if len(values) != len(other) or len(values) < 2:  # noqa: PLR2004 - a line needs two points
        raise ToolError(f"values and other must have the same length, 2 at least, not {len(values)} and {len(other)}.")
    if len(set(values)) == 1:
        raise ToolError("All values are the same, so no line goes through them.")
    slope, intercept = library.linear_regression(values, other)
    constant = len(set(other)) == 1
    return {
        "covariance": library.covariance(values, other),
        "correlation": None if constant else library.correlation(values, other),
        "slope": slope,
        "intercept": intercept,
    }
