"""The server's end of the process that drives Chromium: one request, one reply, as lines of JSON over two pipes.

What that process says is made of what hostile pages say, so a reply is bounded and its shape is checked.
"""

from __future__ import annotations

import os
from select import POLLIN, POLLOUT, poll
from threading import Lock
from time import monotonic

from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import FrameError, LaunchError, ToolError
from muxi_servers.kit.removal import TemporaryFolder
from muxi_servers.kit.schema import find_error
from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher, Program

__all__ = ["Link", "LostError"]

_MAX_REPLY_BYTES = 12 * 2**20
_CHUNK = 65_536
_HEARTBEAT_SECONDS = 5.0
_CANCEL_SECONDS = 5.0
_DONE = object_schema({"text": {"type": "string"}, "structured": {"type": "object"}, "file": {"type": "string"}})
_FAILED = object_schema({"error": {"type": "string"}, "gone": {"type": "boolean"}})


class LostError(Exception):
    """The process, and so the browser, is gone or is not to be spoken to any more. The text says why."""


class Link:
    """A running process and its temporary folder. Close it when done."""

    def __init__(self, launcher: Launcher) -> None:
        """Start it.

        Raises:
            ToolError: it could not be started.
        """
        self._folder = TemporaryFolder()
        self._folder.__enter__()
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        request: dict[str, object] = {"function": "muxi_servers.browser.engine.main:main"}
        try:
            self._program: Program = launcher.start(request, folder=root, temporary=self._folder.path, channel=True)
        except LaunchError as error:
            self._folder.__exit__()
            raise ToolError(str(error)) from None
        finally:
            os.close(root)
        self._program.close_stdin()
        assert self._program.channel is not None  # noqa: S101 - it was started with one  # nosec B101
        self._out, self._back = self._program.channel
        self._writing = Lock()

    @property
    def folder(self) -> str:
        """Its temporary folder, in which the files of its replies are."""
        return self._folder.path

    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._program.is_alive()

    def ask(self, call: Call, tool: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
        """What it answers: `{text, structured, file}`.

        Raises:
            ToolError: the tool could not do it.
            LostError: the browser is gone.
        """
        until = monotonic() + seconds + _CANCEL_SECONDS
        request = encode({"tool": tool, "arguments": arguments, "seconds": seconds})
        self._send(request + b"\n", until)
        call.on_cancel(self._cancel)
        reply = self._receive(call, until)
        if find_error(reply, _DONE) is None:
            return reply
        if find_error(reply, _FAILED) is not None:
            raise LostError("the process that drives it said something that is no reply")
        if reply["gone"]:
            raise LostError(reply["error"])
        raise ToolError(reply["error"])

    def close(self) -> None:
        """End it with everything that it started, and remove its folder."""
        with self._program as program:
            program.end()
            while program.receive()[0] not in {"exited", "lost"}:
                pass
        self._folder.__exit__()

    def _cancel(self) -> None:
        with self._writing:
            try:
                os.write(self._out, encode({"cancel": True}) + b"\n")
            except OSError:
                return  # full or gone: whoever waits for the reply ends it

    def _send(self, line: bytes, until: float) -> None:
        data = memoryview(line)
        poller = poll()
        poller.register(self._out, POLLOUT)
        with self._writing:
            while data:
                if not poller.poll(max(until - monotonic(), 0) * 1000):
                    raise LostError("the process that drives it does not read")
                try:
                    data = data[os.write(self._out, data[:_CHUNK]) :]
                except OSError:
                    raise LostError("the process that drives it has ended") from None

    def _receive(self, call: Call, until: float) -> dict[str, Any]:
        poller = poll()
        poller.register(self._back, POLLIN)
        buffer, started = bytearray(), monotonic()
        while not buffer.endswith(b"\n"):
            now = monotonic()
            if now >= until or len(buffer) > _MAX_REPLY_BYTES:
                raise LostError("it did not answer in time and was ended")
            if call.cancelled:
                until = min(until, now + _CANCEL_SECONDS)
            if not poller.poll(min(until - now, _HEARTBEAT_SECONDS) * 1000 + 1):
                call.progress(f"the browser works since {monotonic() - started:.0f} s")
                continue
            buffer += self._read()
        try:
            reply = decode(bytes(buffer))
        except FrameError as error:
            raise LostError(f"the process that drives it said something that is no reply: {error}") from None
        return reply if isinstance(reply, dict) else {}

    def _read(self) -> bytes:
        try:
            data = os.read(self._back, _CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            raise LostError("the process that drives it has ended")
        return data
