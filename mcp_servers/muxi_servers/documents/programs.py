"""The programs beside us: Poppler's for PDF, Tesseract. Each inherits the limits of the child that starts it."""

from __future__ import annotations

import subprocess  # nosec B404 # fixed programs, never a shell

from muxi_servers.kit.errors import ToolError

__all__ = ["Finished", "run"]

_SHOWN = 300


class Finished:
    """What a program wrote, and its exit code; negative for a signal."""

    __slots__ = ("code", "stderr", "stdout")

    def __init__(self, code: int, stdout: bytes, stderr: bytes) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr.decode("utf-8", "replace")

    def check(self, what: str) -> None:
        """Raise ToolError, naming what was tried, if it failed."""
        if self.code < 0:
            raise ToolError(f"{what} took more memory or processor time than one call may. Ask for fewer parts.")
        if self.code:
            words = " ".join(self.stderr.split())[-_SHOWN:] or f"exit code {self.code}"
            raise ToolError(f"{what} failed: {words}")


def run(argv: list[str], stdin: bytes = b"", descriptors: tuple[int, ...] = ()) -> Finished:
    """Run a program to its end; it is killed with the child when the call ends."""
    ended = subprocess.run(argv, input=stdin, capture_output=True, check=False, pass_fds=descriptors)  # noqa: S603 - fixed programs  # nosec B603
    return Finished(ended.returncode, ended.stdout, ended.stderr)
