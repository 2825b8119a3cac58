"""How far a transfer is, on a terminal's standard error, for those that take longer than a second."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console

__all__ = ["TransferProgress"]

SECONDS = 1.0
MIB = 2**20


class TransferProgress(AbstractContextManager["TransferProgress"]):
    """Says nothing where there is no terminal, and nothing of what is over within a second."""

    def __init__(self, doing: str) -> None:
        console = Console(stderr=True)
        self._doing = doing
        self._status = console.status(f"{doing} ...")
        self._later = threading.Timer(SECONDS, self._status.start) if console.is_terminal else None
        if self._later is not None:
            self._later.daemon = True

    def __enter__(self) -> Self:
        if self._later is not None:
            self._later.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the terminal as it was."""
        if self._later is not None:
            self._later.cancel()
            self._later.join()
        self._status.stop()

    def moved(self, count: int) -> None:
        """So many bytes have passed."""
        self._status.update(f"{self._doing}: {count / MIB:.1f} MiB")
