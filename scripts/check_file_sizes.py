"""Fail if a source file is over 400 lines: such a file holds more than one idea."""

from __future__ import annotations

import subprocess  # nosec B404 # one fixed command
import sys
from pathlib import Path

LIMIT = 400
SUFFIXES = (".py", ".sh", ".yaml", ".toml", ".cedar")


def main() -> int:
    """Print the files that are too long; 1 if there are any."""
    listed = subprocess.run(  # nosec B603 B607 # a fixed command
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    )
    paths = [Path(name) for name in listed.stdout.split("\0") if name.endswith(SUFFIXES)]
    lengths = {path: len(path.read_bytes().splitlines()) for path in paths if path.is_file()}
    too_long = {path: length for path, length in lengths.items() if length > LIMIT}
    for path, length in sorted(too_long.items()):
        sys.stdout.write(f"{path}: {length} lines, {LIMIT} at most\n")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
