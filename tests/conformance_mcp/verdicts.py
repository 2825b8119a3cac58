"""What a run of the suite comes to: which scenarios failed, and how that is told beside what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["exceptions", "failure", "is_warned"]

Checks = Sequence[Mapping[str, Any]]


def failure(checks: Checks) -> str:
    """Why a scenario did not pass; empty if it did. One without a single success is no pass."""
    wrong = [check.get("errorMessage") or check["id"] for check in checks if check["status"] == "FAILURE"]
    if wrong:
        return "; ".join(wrong)
    return "" if any(check["status"] == "SUCCESS" for check in checks) else "it was not run"


def is_warned(checks: Checks) -> bool:
    """Whether the suite says that something should be otherwise."""
    return any(check["status"] == "WARNING" for check in checks)


def exceptions(failed: Mapping[str, str], expected: Mapping[str, str]) -> Iterator[str]:
    """A line for each scenario that failed and should not have, or the other way round, and for each known reason."""
    for scenario in sorted(failed.keys() - expected.keys()):
        yield f"    FAILED: {scenario}: {failed[scenario][:300]}"
    for scenario in sorted(expected.keys() - failed.keys()):
        yield f"    passed, but is said to be impossible: {scenario}"
    reasons: dict[str, list[str]] = {}
    for scenario in sorted(expected.keys() & failed.keys()):
        reasons.setdefault(expected[scenario], []).append(scenario)
    for reason, scenarios in reasons.items():
        yield f"    expected: {', '.join(scenarios)}: {reason}"
