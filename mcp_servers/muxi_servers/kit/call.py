"""One tool call as the tool sees it: how to say how far it is, and whether anyone still waits."""

from __future__ import annotations

from threading import Lock
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Notify = Callable[[str, dict[str, Any]], None]

__all__ = ["Call"]


class Call:
    """Thread-safe. A call that was cancelled sends nothing more and is never answered.

    Attributes:
        wants_progress: whether the caller asked to be told; without it `progress` does nothing.
    """

    def __init__(self, notify: Notify | None = None, progress_token: str | int | None = None) -> None:
        self._notify = notify
        self._token = progress_token
        self._lock = Lock()
        self._on_cancel: list[Callable[[], None]] = []
        self._started = monotonic()
        self._last = 0.0
        self._cancelled = False
        self._done = False
        self.wants_progress = notify is not None and progress_token is not None

    def progress(self, message: str) -> None:
        """Send a progress notification; its number is the seconds since the call began and always grows."""
        if self._notify is None or self._token is None:
            return
        with self._lock:
            if self._cancelled or self._done:
                return
            self._last = max(round(monotonic() - self._started, 3), round(self._last + 0.001, 3))
            params = {"progressToken": self._token, "progress": self._last, "message": message}
            self._notify("notifications/progress", params)

    @property
    def cancelled(self) -> bool:
        """Whether the caller gave up."""
        return self._cancelled

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Do this when the caller gives up, at once if it has; the action may not wait."""
        with self._lock:
            if not self._cancelled:
                self._on_cancel.append(action)
                return
        action()

    def cancel(self) -> None:
        """The caller gave up, or the server ends."""
        with self._lock:
            if self._cancelled or self._done:
                return
            self._cancelled = True
            actions = list(self._on_cancel)
        for action in actions:
            action()

    def finish(self) -> bool:
        """No more progress from here; whether the call should be answered."""
        with self._lock:
            self._done = True
            self._on_cancel.clear()
            return not self._cancelled
