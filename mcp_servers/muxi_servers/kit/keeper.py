"""The keeper of one program: starts it, adopts its orphans, and sees that nothing of it is left.

It speaks with the server over one socket, in packets of ASCII:

    to the server     failed TEXT                          the program could not be started; the end
                      started PID
                      swept COUNT                          done with `sweep`
                      exited WAIT_STATUS PEAK_KIB COUNT    the program has ended and COUNT others were killed; the end
                      stuck                                something could not be killed; the end
    to the keeper     signal NUMBER                        to the program's process group
                      sweep                                stop the program, and kill what it has started
                      resume                               let it go on
                      end                                  kill everything (as does closing the socket)

The program gets none of these descriptors, and cannot look into this process: it is not dumpable.
"""

from __future__ import annotations

import os
from resource import RUSAGE_CHILDREN, getrusage
from select import POLLIN, poll

from muxi_servers.kit.linux import SIGCONT, SIGSTOP, end_descendants, reap, wait_for_stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Keeper"]

_PACKET = 256


class Keeper:
    """Of the process `program`, which this process has forked; `control` is the socket to the server."""

    def __init__(self, control: int, program: int) -> None:
        self._control = control
        self._program = program
        self._status: int | None = None

    def run(self, wake: int) -> None:
        """Until the program has ended and nothing is left of it."""
        poller = poll()
        poller.register(self._control, POLLIN)
        poller.register(wake, POLLIN)
        self._say(f"started {self._program}")
        while self._status is None:
            ready = [descriptor for descriptor, _ in poller.poll()]
            if wake in ready:
                os.read(wake, _PACKET)
                self._note_ended(reap())
            if self._control in ready and not self._obey():
                break
        ended = end_descendants()
        self._note_ended(ended.statuses)
        peak = getrusage(RUSAGE_CHILDREN).ru_maxrss
        self._say(f"exited {self._status or 0} {peak} {ended.count}" if ended.all_gone else "stuck")

    def _obey(self) -> bool:
        try:
            word, _, number = os.read(self._control, _PACKET).partition(b" ")
        except ConnectionError:
            return False
        if word == b"signal":
            self._signal(os.killpg, int(number))
        elif word == b"resume":
            self._signal(os.kill, SIGCONT)
        elif word == b"sweep":
            return self._sweep()
        else:
            return False
        return True

    def _sweep(self) -> bool:
        """Stop the program first, so that nothing new comes while the rest is killed, nor later."""
        if self._status is None:
            self._signal(os.kill, SIGSTOP)
            stopped, status = wait_for_stop(self._program)
            self._status = status
            if not stopped:
                return status is not None  # it has ended; or it cannot be stopped, so it is killed
        swept = end_descendants(spare=self._program)
        self._note_ended(swept.statuses)
        self._say(f"swept {swept.count}" if swept.all_gone else "stuck")
        return True

    def _signal(self, send: Callable[[int, int], None], number: int) -> None:
        try:
            send(self._program, number)
        except ProcessLookupError:
            self._note_ended(reap())

    def _note_ended(self, statuses: dict[int, int]) -> None:
        self._status = statuses.get(self._program, self._status)

    def _say(self, packet: str) -> None:
        try:
            os.write(self._control, packet.encode())
        except OSError:
            return  # the server is gone; the same work is still to be done
