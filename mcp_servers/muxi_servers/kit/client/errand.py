"""The time that one call has on the network, and what it has open: all is cut when the time is over."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Timer
from time import monotonic

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from muxi_servers.kit.call import Call

__all__ = ["Errand"]


class Errand:
    """Of one call. Use it as a context: it closes what was opened.

    A host that sends a byte now and then keeps every time-out of a socket from passing: so a timer cuts the connections
    themselves, and whoever waits on one gets an error, which `explain` tells the reason of.

    Attributes:
        seconds: how long it may take in all.
        call: whose it is.
    """

    def __init__(self, call: Call, seconds: float, more: str = "give it more time (timeout_seconds), or ") -> None:
        """`more`: how to get more time, where a caller can."""
        self.call = call
        self.seconds = seconds
        self._until = monotonic() + seconds
        self._lock = Lock()
        self._open: list[socket.socket] = []
        self._ended = ""
        self._more = more
        self._timer = Timer(seconds, self._cut, ["time"])
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        self.call.on_cancel(lambda: self._cut("cancelled"))
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._cut("done")
        for held in self._open:
            held.close()

    def connect(self, host: str, port: int) -> socket.socket:
        """A new connection, to be closed by whoever asked.

        Raises:
            OSError: there is none to be had.
            ToolError: the time is over.
        """
        self.check()
        made = socket.create_connection((host, port), timeout=max(0.01, self._until - monotonic()))
        # A second descriptor of the same connection: what is cut may be wrapped in TLS, and in use by another thread.
        held = made.dup()
        with self._lock:
            self._open.append(held)
            ended = self._ended
        if ended:
            _shut(held)
        return made

    def check(self) -> None:
        """Raises ToolError if the time is over or the caller has given up."""
        if self._ended:
            raise ToolError(self.explain("It was ended."))

    def explain(self, otherwise: str) -> str:
        """Why something failed: the end of the time if that was it, else what is given."""
        # A socket's own time-out may be a moment before the timer.
        if self._ended == "time" or (not self._ended and monotonic() >= self._until):
            return f"It took longer than {self.seconds:g} s: {self._more}ask for less."
        return "The call was cancelled." if self._ended == "cancelled" else otherwise

    def _cut(self, reason: str) -> None:
        with self._lock:
            self._ended = self._ended or reason
            for held in self._open:
                _shut(held)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
