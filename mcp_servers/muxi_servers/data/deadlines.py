"""One limit of time for all that a call does, however many processes it takes."""

from __future__ import annotations

from time import monotonic

from muxi_servers.kit.errors import ToolError

__all__ = ["Deadline"]


class Deadline:
    """Begins when it is made.

    Attributes:
        seconds: how long it was at the beginning.
    """

    def __init__(self, seconds: float, what: str) -> None:
        """`what` begins the sentence about it, such as "The change"."""
        self.seconds = seconds
        self._what = what
        self._until = monotonic() + seconds

    def left(self) -> float:
        """Seconds, more than none.

        Raises:
            ToolError: it is over.
        """
        left = self._until - monotonic()
        if left <= 0:
            raise ToolError(
                f"{self._what} took longer than {self.seconds:g} s and was ended: ask for less, or raise "
                "timeout_seconds."
            )
        return left
