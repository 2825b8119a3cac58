"""`python -m tests.attack_matrix [--page] [--out FOLDER] [pytest's arguments]`; `make security` calls it."""

from __future__ import annotations

import argparse
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from tests.attack_matrix.recorder import Recorder
from tests.attack_matrix.report import judge, page, show, write
from tests.attack_matrix.rows import ROOT, load_rows


def main() -> int:
    """Try every attack; 0 only if every row held."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack_matrix", description=__doc__)
    parser.add_argument("--page", action="store_true", help="only write docs/attacks.md anew")
    parser.add_argument("--out", type=Path, default=ROOT / "security-results", metavar="FOLDER")
    options, rest = parser.parse_known_args()
    rows = load_rows()
    if options.page:
        (ROOT / "docs" / "attacks.md").write_text(page(rows), "utf-8")
        return 0
    files = sorted({test.file for row in rows for test in row.tests})
    recorder = Recorder()
    pytest.main(["-m", "promise", *files, *rest], plugins=[recorder])
    results = judge(rows, recorder.outcomes)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "attacks_held": f"{sum(one.word == 'held' for one in results)} of {len(results)}",
    }
    console = Console(width=None if sys.stdout.isatty() else 200)
    show(results, console)
    write(options.out, results, about)
    console.print(f"\n{about['attacks_held']} held; written to {options.out}/matrix.md and matrix.json")
    return 0 if all(one.word == "held" for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
