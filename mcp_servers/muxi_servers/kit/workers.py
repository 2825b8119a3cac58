"""A bounded number of threads for tool calls, started when first needed."""

from __future__ import annotations

from threading import Condition, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Workers"]


class Workers:
    """Up to `limit` threads and `backlog` waiting jobs.

    The first thread starts at once, so that it is there even when the sandbox's limit of processes, which counts
    threads, is used up by programs.
    """

    def __init__(self, limit: int = 8, backlog: int = 64) -> None:
        self._limit = limit
        self._backlog = backlog
        self._jobs: list[Callable[[], None]] = []
        self._changed = Condition()
        self._threads = 0
        self._idle = 0
        self._start_thread()

    def submit(self, job: Callable[[], None]) -> bool:
        """Run the job on a thread soon; false if too many wait already. The job may not raise."""
        with self._changed:
            if len(self._jobs) >= self._backlog:
                return False
            self._jobs.append(job)
            if self._idle < len(self._jobs) and self._threads < self._limit:
                self._start_thread()
            self._changed.notify()
            return True

    def _start_thread(self) -> None:
        try:
            Thread(target=self._work, daemon=True).start()
        except RuntimeError:
            # No thread to be had: the limit of processes is reached. Those that run will take the job.
            if self._threads == 0:
                raise
            return
        self._threads += 1

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._jobs:
                    self._changed.wait()
                self._idle -= 1
                job = self._jobs.pop(0)
            job()
