"""One request to a session and its reply: lines of JSON over two pipes that no print of the user's code goes into.

The process at the other end runs the user's code, so what it says is worth no more than its output: every reply is
bounded and checked, and can only be a lie about itself.
"""

from __future__ import annotations

import os
from select import POLLIN, POLLOUT
from time import monotonic

from muxi_servers.code.reply import REAP, REAPED, REPLY
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import FrameError
from muxi_servers.kit.schema import find_error
from muxi_servers.kit.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Program
    from muxi_servers.kit.watch import Limits

__all__ = ["MAX_REPLY_BYTES", "Exchange"]

MAX_REPLY_BYTES = 8 * 2**20
_CHUNK = 65_536
_GRACE_SECONDS = 2.0
_KEPT_DEAD = 8
_INTERRUPT = "signal 2"


class Exchange(Watch):
    """Ends when the reply is there and what the code started is gone, or when the session has ended.

    Attributes:
        reply: fits `reply.REPLY`; `None` if the session ended without one, or said something else.
    """

    def __init__(self, program: Program, limits: Limits, call: Call, request: dict[str, Any]) -> None:
        super().__init__(program, limits, call, b"")
        self.reply: dict[str, Any] | None = None
        self._request = memoryview(encode(request) + b"\n")
        self._buffer = bytearray()
        assert program.channel is not None  # noqa: S101 - sessions are started with one  # nosec B101
        self._to_session, self._from_session = program.channel
        call.on_cancel(lambda: program.tell(_INTERRUPT))
        self._reaping = False
        self._kill_at = 0.0  # 0: no limit was passed yet, or it has been killed

    def _register(self) -> None:
        super()._register()
        self._program.tell("resume")
        self._poller.register(self._to_session, POLLOUT)
        self._poller.register(self._from_session, POLLIN)

    def _exchange(self, descriptor: int) -> None:
        if descriptor == self._to_session:
            self._write_request()
        else:
            self._read_reply()

    def _write_request(self) -> None:
        try:
            self._request = self._request[os.write(self._to_session, self._request[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self._request = memoryview(b"")  # the session is ending; its keeper will say so
        if not self._request:
            self._poller.unregister(self._to_session)

    def _read_reply(self) -> None:
        try:
            data = os.read(self._from_session, _CHUNK)
        except BlockingIOError:
            return
        self._buffer += data
        if data.endswith(b"\n"):
            self._take_reply(bytes(self._buffer))
        elif not data or len(self._buffer) > MAX_REPLY_BYTES:
            self._distrust()

    def _take_reply(self, line: bytes) -> None:
        try:
            reply = decode(line)
        except FrameError:
            reply = None
        self._buffer.clear()
        if self._reaping:
            if reply != REAPED:
                self._distrust()
                return
        elif find_error(reply, REPLY) is None:
            self.reply = reply
        else:
            self._distrust()
            return
        self._program.tell("sweep")

    def _distrust(self) -> None:
        """The session's end of the channel is in other hands: end it."""
        self._poller.unregister(self._from_session)
        self.reply = None
        self._program.end()

    def _hear(self) -> None:
        word, rest = self._program.receive()
        if word == "swept":
            self._take_swept(int(rest[0]))
            return
        self._take_end(word, rest)
        if self._ended:
            self.reply = None

    def _take_swept(self, count: int) -> None:
        """The session is stopped and what it started is dead, but it has still to wait for its dead children.

        A few are left for the user's code to ask about; many would use up the sandbox's processes until the next call.
        """
        self.outcome.left_over += count
        if count <= _KEPT_DEAD or self._reaping:
            self._ended = True
            return
        self._reaping = True
        self._request = memoryview(encode(REAP) + b"\n")
        self._poller.register(self._to_session, POLLOUT)
        self._program.tell("resume")
        self._kill_at = monotonic() + _GRACE_SECONDS

    def _stop(self) -> None:
        # First as Ctrl-C would, so that the variables stay; killed if that does not help.
        self._program.tell(_INTERRUPT)
        self._until = self._kill_at = monotonic() + _GRACE_SECONDS

    def _keep_limits(self) -> None:
        super()._keep_limits()
        if self._kill_at and monotonic() >= self._kill_at:
            self._kill_at = 0.0
            super()._stop()
