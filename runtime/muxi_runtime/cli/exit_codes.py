"""What the exit code of `muxi-runtime` says. `docs/cli.md` documents them; a test keeps the two together."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """One number per kind of failure, so that a script can tell them apart."""

    OK = 0
    FAILED = 1
    """The command worked, what it looked at did not: a failed check, a tool's error, a broken chain."""
    USAGE = 2
    CONFIGURATION = 3
    SETUP = 4
    """A step of the set-up, the container engine or a sandbox failed."""
    NOT_RUNNING = 5
    REFUSED = 6
    """No usable key, no such tool or task, arguments that do not fit, or policy said no."""
    SERVER = 7
    """The server behind a tool, or the runtime itself, failed."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
