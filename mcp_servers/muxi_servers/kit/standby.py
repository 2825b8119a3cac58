"""A keeper and its program, forked before anybody asks for them: two forks less between a call and its program.

The pair stands by on two sockets, one for each of them, whose other ends the zygote holds. It has been used for nothing
before and holds nothing of any call. When the zygote ends, so does the pair.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import _socket
import marshal
import os
import sys
from select import POLLIN, poll

from muxi_servers.kit.keeper import Keeper
from muxi_servers.kit.linux import SIGCONT, SIGKILL, adopt_orphans, descendants
from muxi_servers.kit.program import become, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["NO_PROCESS", "Standby", "receive"]

_MAX_REQUEST_BYTES = 150_000  # one packet: below the kernel's usual 208 KiB for a socket's buffer
_MAX_DESCRIPTORS = 8
_DESCRIPTOR_BYTES = 4
NO_PROCESS = b"failed no process: the sandbox has none left"


class Standby:
    """The zygote's end of a pair.

    Attributes:
        keeper: its process id.
    """

    def __init__(self, keeper: int, to_keeper: _socket.socket, to_program: _socket.socket) -> None:
        self.keeper = keeper
        self._to_keeper = to_keeper
        self._to_program = to_program

    @classmethod
    def fork(cls, zygotes: list[int]) -> Standby:
        """A new pair, whose processes never return from here, and do without the zygote's own descriptors.

        Raises:
            OSError: no process or descriptor is left.
        """
        sockets: list[_socket.socket] = []
        try:
            for _ in range(2):
                sockets += _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            keeper = os.fork()
        except OSError:
            _close(sockets)
            raise
        to_keeper, for_keeper, to_program, for_program = sockets
        if keeper == 0:
            for descriptor in zygotes:
                os.close(descriptor)
            _close([to_keeper, to_program])
            _stand_by(for_keeper, for_program)
        _close([for_keeper, for_program])
        return cls(keeper, to_keeper, to_program)

    def begin(self, packet: bytes, descriptors: list[int]) -> bool:
        """Let the pair run a program; false if its keeper has been killed meanwhile. Either way it is used up.

        `packet` and `descriptors` are a request as `zygote.serve` has it.
        """
        control, *rest = descriptors
        try:
            # The keeper first: it must not hear of the program's end before it knows whom to tell.
            _send(self._to_keeper, b"begin", [control])
            os.kill(self.keeper, SIGCONT)  # another program may have stopped it; so below
        except OSError:
            _close([self._to_keeper, self._to_program])
            return False
        try:
            _send(self._to_program, packet, rest)
        except OSError:
            return True  # the program has been killed: its keeper tells of it, as of any other
        finally:
            _close([self._to_keeper, self._to_program])
        return True


def receive(link: _socket.socket) -> tuple[bytes, list[int]]:
    """The next packet and its descriptors; an empty one when the other end is closed."""
    space = _socket.CMSG_SPACE(_MAX_DESCRIPTORS * _DESCRIPTOR_BYTES)
    packet, ancillary, _, _ = link.recvmsg(_MAX_REQUEST_BYTES, space, _socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for _, _, data in ancillary:
        descriptors.extend(memoryview(data[: len(data) - len(data) % _DESCRIPTOR_BYTES]).cast("i"))
    return packet, descriptors


def _send(link: _socket.socket, packet: bytes, descriptors: list[int]) -> None:
    data = b"".join(number.to_bytes(_DESCRIPTOR_BYTES, sys.byteorder) for number in descriptors)
    link.sendmsg([packet], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)])


def _close(sockets: list[_socket.socket]) -> None:
    for one in sockets:
        one.close()


def _stand_by(link: _socket.socket, for_program: _socket.socket) -> NoReturn:
    """The keeper's side: fork the program, wait for its control socket, keep it.

    Raises:
        SystemExit: in the program, when it is a Python function that has ended.
    """
    adopt_orphans()
    wake, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    _signal.signal(_signal.SIGCHLD, _note)
    _signal.set_wakeup_fd(bell)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGCHLD])
    program = _fork_program(link, for_program)
    descendants(os.getpid())  # for the memory that this touches, as in `program.prepare`
    control = _wait_for_control(link, wake)
    if control >= 0 and program < 0:
        program = _fork_program(link, for_program)  # there may be room now
    for_program.close()
    if program < 0:
        _say_failed(control)
    elif control >= 0:
        os.kill(program, SIGCONT)
        Keeper(control, program).run(wake)
    else:
        os.kill(program, SIGKILL)
    os._exit(0)


def _fork_program(link: _socket.socket, for_program: _socket.socket) -> int:
    """Its process id; -1 if the sandbox has no process left."""
    try:
        program = os.fork()
    except OSError:
        return -1
    if program == 0:
        _signal.set_wakeup_fd(-1)
        link.close()
        _become_what_is_asked(for_program)
    return program


def _say_failed(control: int) -> None:
    if control >= 0:
        os.write(control, NO_PROCESS)


def _note(*_: object) -> None:
    """A signal whose only work is to write to the wake-up descriptor."""


def _wait_for_control(link: _socket.socket, wake: int) -> int:
    """The descriptor of the socket to the server; -1 if nobody will ask any more, or the program is dead already."""
    poller = poll()
    poller.register(link, POLLIN)
    poller.register(wake, POLLIN)
    ready = [descriptor for descriptor, _ in poller.poll()]
    if link.fileno() not in ready:
        return -1
    _, descriptors = receive(link)
    return descriptors[0] if descriptors else -1


def _become_what_is_asked(link: _socket.socket) -> NoReturn:
    prepare()
    packet, descriptors = receive(link)
    if not packet:
        os._exit(0)
    link.close()
    become(marshal.loads(packet), descriptors)  # noqa: S302 - from the server alone, over a private socket  # nosec B302
