"""The suite's client sets, passed by the gateway's side towards servers: see `client`.

`python -m conformance_mcp.client_sets` runs these alone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml
from node_tools import NODE_MODULES, client_conformance

from conformance_mcp.verdicts import exceptions, failure, is_warned

__all__ = ["ClientRow", "client_table", "run_client_sets"]

COMMAND = f"{sys.executable} -W ignore -m conformance_mcp.client"
REQUIREMENTS = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "requirements"
REVISIONS = ("2025-11-25", "2026-07-28")
AT_ONCE = 2
"""Clients: the suite would start all at once, and some scenarios measure times."""

IMPOSSIBLE: dict[str, str] = {}
"""Scenarios that cannot pass, each with its reason."""


@dataclass(frozen=True)
class ClientRow:
    """One set."""

    revision: str
    scenarios: tuple[str, ...]
    failed: dict[str, str]
    warned: list[str]

    @property
    def expected(self) -> dict[str, str]:
        """What cannot pass, with the reason."""
        return {scenario: IMPOSSIBLE[scenario] for scenario in self.scenarios if scenario in IMPOSSIBLE}

    @property
    def is_as_expected(self) -> bool:
        return bool(self.scenarios) and self.failed.keys() == self.expected.keys()


def run_client_sets(folder: Path) -> list[ClientRow]:
    """Run both sets; what the suite writes is left in the folder."""
    return [_run(revision, folder / f"client-{revision}") for revision in REVISIONS]


def _run(revision: str, folder: Path) -> ClientRow:
    scenarios = tuple(yaml.safe_load((REQUIREMENTS / f"{revision}.yaml").read_text())["client"])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda name: client_conformance(COMMAND, revision, name, folder), scenarios))
    failed: dict[str, str] = {}
    for name, (checks, ended) in zip(scenarios, outcomes, strict=True):
        if why := failure(checks) or ended:
            failed[name] = why
    warned = [name for name, (checks, _) in zip(scenarios, outcomes, strict=True) if is_warned(checks)]
    return ClientRow(revision, scenarios, failed, warned)


def client_table(rows: list[ClientRow]) -> Iterator[str]:
    """For people."""
    yield f"{'as a client':<21} {'revision':<12} passed"
    for row in rows:
        yield f"{'http':<21} {row.revision:<12} {len(row.scenarios) - len(row.failed)}/{len(row.scenarios)}"
        if row.warned:
            yield f"    with warnings: {', '.join(row.warned)}"
        yield from exceptions(row.failed, row.expected)


def main() -> int:
    """Run both sets; the exit code."""
    with tempfile.TemporaryDirectory(prefix="muxi-conformance-") as folder:
        rows = run_client_sets(Path(folder))
    sys.stdout.write("\n".join(client_table(rows)) + "\n")
    return 0 if all(row.is_as_expected for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
