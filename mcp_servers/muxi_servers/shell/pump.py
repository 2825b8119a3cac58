"""One thread that reads what all background processes write, so that none ever waits for a reader."""

from __future__ import annotations

import os
from select import POLLIN, poll
from threading import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.shell.process import Process

__all__ = ["Pump"]

_CHUNK = 65_536


class Pump:
    """Started with the first process."""

    def __init__(self) -> None:
        self._wake, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poller = poll()
        self._poller.register(self._wake, POLLIN)
        self._added: list[Process] = []
        self._sources: dict[int, Process] = {}
        self._thread: Thread | None = None

    def add(self, process: Process) -> None:
        """Read from this process until it has ended.

        Raises:
            RuntimeError: no thread could be started.
        """
        if self._thread is None:
            thread = Thread(target=self._run, daemon=True)
            thread.start()
            self._thread = thread
        self._added.append(process)
        os.write(self._bell, b"\0")

    def _run(self) -> None:
        while True:
            for descriptor, _ in self._poller.poll():
                if descriptor == self._wake:
                    os.read(self._wake, _CHUNK)
                    self._take_added()
                elif descriptor in self._sources:
                    self._serve(descriptor, self._sources[descriptor])

    def _take_added(self) -> None:
        while self._added:
            process = self._added.pop()
            for descriptor in process.sources():
                self._sources[descriptor] = process
                self._poller.register(descriptor, POLLIN)

    def _serve(self, descriptor: int, process: Process) -> None:
        if process.is_control(descriptor):
            for source in process.sources():
                if source in self._sources:
                    self._forget(source)
            process.finish()
        elif not process.read_from(descriptor):
            self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        self._poller.unregister(descriptor)
        del self._sources[descriptor]
