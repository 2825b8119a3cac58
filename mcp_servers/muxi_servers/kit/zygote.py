"""A small process that forks programs, so that each starts in milliseconds from an interpreter that is already up.

It is forked from the server before the server has read anything, holds nothing but one socket to it, and sees nothing
of a call beyond the program to start. Each program gets a keeper of its own, and one such pair is always forked ahead:

    server ──▶ zygote ──▶ keeper ──▶ program and whatever it starts
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import _socket
import gc
import os
from select import POLLIN, poll

from muxi_servers.kit.linux import adopt_orphans, end_descendants, reap
from muxi_servers.kit.standby import NO_PROCESS, Standby, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["serve"]

_LULL_MILLISECONDS = 50
_WAKES = 256


class _Zygote:
    """The link to the server, the keepers that live, and the pair that stands by."""

    def __init__(self, link: _socket.socket) -> None:
        self._link = link
        self._alive: set[int] = set()
        self._standby: Standby | None = None
        self._wake, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller = poll()
        for source in (link.fileno(), self._wake):
            self._poller.register(source, POLLIN)
        _signal.signal(_signal.SIGCHLD, self._bury)
        _signal.set_wakeup_fd(self._bell)

    def run(self) -> NoReturn:
        """Until the server is gone."""
        self._fork()
        while True:
            # Forked ahead when there is time: once a program has ended, or when it has run for a while.
            ready = [source for source, _ in self._poller.poll(None if self._standby else _LULL_MILLISECONDS)]
            if self._wake in ready:
                os.read(self._wake, _WAKES)
            if self._link.fileno() in ready:
                self._begin(*receive(self._link))
            elif self._standby is None or self._standby.keeper not in self._alive:
                self._fork()

    def _begin(self, packet: bytes, descriptors: list[int]) -> None:
        if not packet:
            end_descendants()
            os._exit(0)
        if not self._standby or not self._standby.begin(packet, descriptors):
            # None could be forked ahead, or a program has killed it.
            self._fork()
            if not self._standby or not self._standby.begin(packet, descriptors):
                os.write(descriptors[0], NO_PROCESS)
        self._standby = None
        for descriptor in descriptors:
            os.close(descriptor)

    def _fork(self) -> None:
        """A new pair; none if the sandbox has no process left."""
        # SIGCHLD is held back so that a keeper is known before it can be buried.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
        try:
            self._standby = Standby.fork([self._link.fileno(), self._wake, self._bell])
            self._alive.add(self._standby.keeper)
        except OSError:
            self._standby = None
        finally:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGCHLD])

    def _bury(self, *_: object) -> None:
        """On SIGCHLD. A keeper that was killed leaves its programs to this process: they are killed here."""
        ended = reap()
        self._alive -= ended.keys()
        if any(ended.values()):  # one that ended by itself has left nothing
            end_descendants(skip=frozenset(self._alive))


def serve(link: _socket.socket) -> NoReturn:
    """Start a program for each request on the socket until its other end is closed.

    A request is a packet: marshalled `{"argv" | "function", "args", "env"}` with the descriptors
    control, working folder, standard input, output, error, and any more that the program gets from 3 on.
    """
    adopt_orphans()
    os.chdir("/")
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    gc.freeze()
    _Zygote(link).run()
