"""Which published holes of runc its reported version has. A distribution may have mended it without a new number."""

from __future__ import annotations

import re

__all__ = ["known_holes"]

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:[-~]?rc\.?(\d+))?")
RELEASED = 1_000  # a release comes after all of its candidates

Version = tuple[int, int, int, int]

# The first mended version of each line that got one; a line older than all of these never was.
LEAKED_DESCRIPTOR = ("CVE-2024-21626", ((1, 1, 12, RELEASED),))
MASKED_PATH_RACES = (
    "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881",
    ((1, 2, 8, RELEASED), (1, 3, 3, RELEASED), (1, 4, 0, 3)),
)


def _parse(text: str) -> Version | None:
    found = VERSION.match(text.strip().lstrip("v"))
    if found is None:
        return None
    major, minor, patch, candidate = found.groups()
    return int(major), int(minor), int(patch), int(candidate) if candidate else RELEASED


def known_holes(runc: str) -> list[str] | None:
    """CVE numbers that the version of runc is older than the mending of; `None` if it is no version."""
    version = _parse(runc)
    if version is None:
        return None
    return [name for name, mended in (LEAKED_DESCRIPTOR, MASKED_PATH_RACES) if not _is_mended(version, mended)]


def _is_mended(version: Version, mended: tuple[Version, ...]) -> bool:
    same_line = [first for first in mended if first[:2] == version[:2]]
    return version >= (same_line[0] if same_line else mended[-1])
