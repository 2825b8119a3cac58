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

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import os
from resource import RUSAGE_CHILDREN, getrusage
from select import POLLIN, poll

from muxi_servers.kit.linux import SIGCONT, SIGSTOP, adopt_orphans, end_descendants, reap, wait_for_stop
from muxi_servers.kit.program import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = ["keep"]

_PACKET = 256


def _note(*_: object) -> None:
    """A signal whose only work is to write to the wake-up descriptor."""


class _Keeper:
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


def keep(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Start the program and stay until it has ended. In the forked program itself: run it.

    Raises:
        SystemExit: in the program, when it is a Python function that has ended.
    """
    control, *rest = descriptors
    adopt_orphans()
    wake, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    _signal.signal(_signal.SIGCHLD, _note)
    _signal.set_wakeup_fd(bell)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGCHLD])
    try:
        program = os.fork()
    except OSError as error:
        os.write(control, f"failed {error.strerror}: the sandbox has no process left".encode())
        os._exit(0)
    if program == 0:
        _signal.set_wakeup_fd(-1)
        become(request, rest)
    for descriptor in rest:
        os.close(descriptor)
    _Keeper(control, program).run(wake)
    os._exit(0)
