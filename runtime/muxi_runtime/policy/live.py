"""The rules in force, replaced while they are used: by what is on disk, and only if that is right.

Above: the door and the egress gate, for which it is a `Policy` like any other; `gateway.policy_watch`, which says when
to look. What is decided already stays decided: an open connection is not asked about again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from muxi_runtime.errors import ConfigError
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Decision, Request
from muxi_runtime.policy.rules import RuleSet
from muxi_runtime.policy.settings import PolicySettings

__all__ = ["LivePolicy", "Stamp", "stamp"]

Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]
"""Of each file: its inode, size and time of change; `None` where it cannot be looked at."""


class LivePolicy:
    """A `Policy`. `read` says which files hold now; it may raise a ConfigError like the files themselves."""

    def __init__(self, read: Callable[[], PolicySettings]) -> None:
        """Load what is on disk. Blocks.

        Raises:
            ConfigError: it cannot be used; without rules nothing starts.
        """
        self._read = read
        self.files: Sequence[Path] = ()
        self._now = self._load()

    @property
    def rules(self) -> RuleSet:
        """Those in force."""
        return self._now.rules

    def decide(self, request: Request) -> Decision:
        """As `Policy.decide`."""
        return self._now.decide(request)

    def reload(self) -> bool:
        """Take what is on disk now; whether the rules changed. Blocks.

        Raises:
            ConfigError: it cannot be used, and the rules stay as they were; one line for each problem.
        """
        before = self._now.rules.digest
        after = self._load()
        if after.rules.digest == before:
            return False
        self._now = after
        return True

    def _load(self) -> CedarPolicy:
        settings = self._read()
        before = stamp(settings.files)
        loaded = CedarPolicy.load(settings)
        if stamp(settings.files) != before:  # half of a file can be right, and lack a forbid
            raise ConfigError("A policy file was written while it was read.", remedy="Try again when it is whole.")
        self.files = settings.files
        return loaded


def stamp(files: Sequence[Path]) -> Stamp:
    """What tells whether one of the files was changed since. Blocks."""
    return tuple(map(_of_file, files))


def _of_file(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
