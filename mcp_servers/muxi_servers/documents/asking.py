"""The server's end of a child: starts it, passes its progress on, and says in words how it ended."""

from __future__ import annotations

import os
from select import POLLIN

from muxi_servers.documents.bounds import MAX_ANSWER_BYTES
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import FrameError, LaunchError, ToolError
from muxi_servers.kit.watch import Limits, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher, Program
    from muxi_servers.kit.workspace import Workspace

__all__ = ["Children"]

_KEPT_BYTES = 8_000
_CHUNK = 65_536
_SIGKILL, _SIGSEGV, _SIGXCPU = 9, 11, 24
_LESS = "Ask for fewer parts"


class _Asking(Watch):
    """Gathers the answer from the child's own pipe, which nothing that a library prints goes into."""

    def __init__(self, program: Program, limits: Limits, call: Call, request: bytes) -> None:
        super().__init__(program, limits, call, request)
        assert program.channel is not None  # noqa: S101 - children are started with one  # nosec B101
        self._from_child = program.channel[1]
        self.answer = bytearray()
        self._open = True

    def _register(self) -> None:
        super()._register()
        self._poller.register(self._from_child, POLLIN)

    def _exchange(self, _: int) -> None:
        self._take()

    def _drain(self) -> None:
        super()._drain()
        while self._open and self._take():
            pass

    def _take(self) -> bool:
        try:
            data = os.read(self._from_child, _CHUNK)
        except BlockingIOError:
            return False
        if not data or len(self.answer) > MAX_ANSWER_BYTES:
            self._poller.unregister(self._from_child)
            self._open = False
            return False
        self.answer += data
        return True


class Children:
    """Starts a child for each call."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def ask(self, call: Call, operation: str, arguments: dict[str, Any], seconds: int) -> dict[str, Any]:
        """What the operation found.

        Raises:
            ToolError: it could not be done, or took more than it may.
        """
        request = encode({"operation": operation, "arguments": arguments})
        with self._start(seconds) as program:
            call.on_cancel(program.end)
            asking = _Asking(program, Limits(seconds, _KEPT_BYTES), call, request)
            outcome = asking.run()
        if outcome.reason == "timeout":
            raise ToolError(f"It took longer than {seconds} s. {_LESS}.")
        try:
            told: dict[str, Any] = decode(bytes(asking.answer))
        except FrameError:
            os.write(2, outcome.stderr.text().encode())
            raise ToolError(_why(outcome.status, outcome.kernel_kills, outcome.reason)) from None
        if "error" in told:
            raise ToolError(told["error"])
        found: dict[str, Any] = told["result"]
        return found

    def _start(self, seconds: int) -> Program:
        folder = self._workspace.open()
        try:
            return self._launcher.start(
                {"function": "muxi_servers.documents.child:main", "args": [seconds]},
                folder=folder,
                temporary="/tmp",  # noqa: S108 - the sandbox's own  # nosec B108
                channel=True,
            )
        except LaunchError as error:
            raise ToolError(str(error)) from None
        finally:
            os.close(folder)


def _why(status: int | None, kernel_kills: int, reason: str) -> str:
    """What ended a child that has not answered."""
    signal = (status or 0) & 0x7F
    if reason == "cancelled":
        return "The call was cancelled."
    if signal == _SIGXCPU:
        return f"It took more processor time than one call may. {_LESS}."
    if kernel_kills or signal == _SIGKILL:
        return f"It took more memory or processor time than one call may. {_LESS}."
    if signal == _SIGSEGV:
        return "The document made its reader crash: it is damaged, or made to do that."
    return "The document could not be read: its reader gave up over it."
