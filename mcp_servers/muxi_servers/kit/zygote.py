"""A small process that forks programs, so that each starts in milliseconds from an interpreter that is already up.

It is forked from the server before the server has read anything, holds nothing but one socket to it, and sees nothing
of a call beyond the program to start. Each program gets a keeper of its own:

    server ──▶ zygote ──▶ keeper ──▶ program and whatever it starts
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import _socket
import gc
import marshal
import os

from muxi_servers.kit.keeper import keep
from muxi_servers.kit.linux import adopt_orphans, end_descendants, reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["MAX_DESCRIPTORS", "MAX_REQUEST_BYTES", "serve"]

MAX_REQUEST_BYTES = 150_000  # one packet: below the kernel's usual 208 KiB for a socket's buffer
MAX_DESCRIPTORS = 8
_DESCRIPTOR_BYTES = 4


class _Keepers:
    """The keepers that live, by their process ids."""

    def __init__(self) -> None:
        self.alive: set[int] = set()

    def bury(self, *_: object) -> None:
        """On SIGCHLD. A keeper that was killed leaves its programs to this process: they are killed here."""
        ended = reap()
        self.alive -= ended.keys()
        if any(ended.values()):  # one that ended by itself has left nothing
            end_descendants(skip=frozenset(self.alive))


def serve(link: _socket.socket) -> NoReturn:
    """Fork a keeper for each request on the socket until its other end is closed.

    A request is a packet: marshalled `{"argv" | "function", "args", "env"}` with the descriptors
    control, working folder, standard input, output, error, and any more that the program gets from 3 on.
    """
    adopt_orphans()
    os.chdir("/")
    keepers = _Keepers()
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.signal(_signal.SIGCHLD, keepers.bury)
    gc.freeze()
    while True:
        packet, descriptors = _receive(link)
        if not packet:
            end_descendants()
            os._exit(0)
        # SIGCHLD is held back so that a keeper is known before it can be buried.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
        process = _fork(descriptors)
        if process == 0:
            link.close()
            keep(marshal.loads(packet), descriptors)  # noqa: S302 - from the server alone, over a private socket  # nosec B302
        keepers.alive.add(process)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGCHLD])
        for descriptor in descriptors:
            os.close(descriptor)


def _fork(descriptors: list[int]) -> int:
    try:
        return os.fork()
    except OSError as error:
        report = f"failed {error.strerror}: the sandbox has no process left"
        os.write(descriptors[0], report.encode())
        return -1


def _receive(link: _socket.socket) -> tuple[bytes, list[int]]:
    space = _socket.CMSG_SPACE(MAX_DESCRIPTORS * _DESCRIPTOR_BYTES)
    packet, ancillary, _, _ = link.recvmsg(MAX_REQUEST_BYTES, space, _socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for _, _, data in ancillary:
        descriptors.extend(memoryview(data[: len(data) - len(data) % _DESCRIPTOR_BYTES]).cast("i"))
    return packet, descriptors
