"""Lines of bytes over a pair of descriptors: the MCP stdio transport below JSON."""

from __future__ import annotations

import os

from muxi_servers.kit.errors import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Lock

__all__ = ["MAX_FRAME_BYTES", "FrameReader", "FrameWriter", "claim_standard_streams", "write_all"]

MAX_FRAME_BYTES = 16 * 2**20
_CHUNK = 65_536


class FrameReader:
    """Lines from a descriptor, each at most `limit` bytes; holds one line at most."""

    def __init__(self, fd: int, limit: int = MAX_FRAME_BYTES) -> None:
        self._fd = fd
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0

    def read(self) -> bytes | None:
        """The next line that is not empty, without its line feed; `None` at the end of input.

        Raises:
            FrameError: the line is longer than the limit; it has been skipped and reading may go on.
        """
        while True:
            line = self._take_line()
            if line:
                return line
            if line is None and not self._fill():
                return None  # what may be left was cut off before its line feed: no message

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > self._limit:
                self._skip_line()
                raise FrameError(f"the message is longer than {self._limit} bytes")
            return None
        line = bytes(memoryview(self._buffer)[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        if len(line) > self._limit:
            raise FrameError(f"the message is longer than {self._limit} bytes")
        return line.strip(b" \t\r")

    def _fill(self) -> bool:
        chunk = os.read(self._fd, _CHUNK)
        self._buffer += chunk
        return bool(chunk)

    def _skip_line(self) -> None:
        self._buffer.clear()
        self._searched = 0
        while chunk := os.read(self._fd, _CHUNK):
            end = chunk.find(b"\n")
            if end >= 0:
                self._buffer += chunk[end + 1 :]
                return


def write_all(fd: int, data: bytes) -> None:
    """Write everything; waits while the reader does not read.

    Raises:
        OSError: the reader is gone.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class FrameWriter:
    """Whole lines to a descriptor, from any thread."""

    def __init__(self, fd: int, lock: Lock) -> None:
        self._fd = fd
        self._lock = lock
        self._broken = False

    def write(self, frame: bytes) -> None:
        """One frame and its line feed. A reader that is gone is no error: the end of input follows."""
        with self._lock:
            if self._broken:
                return
            try:
                write_all(self._fd, frame + b"\n")
            except OSError:
                self._broken = True


def claim_standard_streams() -> tuple[int, int]:
    """Move standard input and output to private descriptors, so that no stray print or child reaches the protocol.

    Afterwards 0 is /dev/null and 1 is standard error. Returns the private descriptors (input, output).
    """
    source = os.dup(0)
    sink = os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0, inheritable=True)
    os.dup2(2, 1, inheritable=True)
    os.close(null)
    return source, sink
