"""The engine's attach stream: a container's standard input, output and error over one hijacked connection.

The stream out of the container is cut in pieces with an 8-byte header each: one byte for which stream, three of zero,
four of length, big-endian (Docker Engine API, "Attach to a container", stream format). What goes in is raw.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.errors import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

__all__ = ["Attachment", "BrokenStreamError", "Demultiplexer", "Output", "attach", "hijack", "whole_outputs"]

logger = logging.getLogger(__name__)

READ_BYTES = 64 * 2**10
HEADER_BYTES = 8
STDOUT_MARK = b"\x01\0\0\0"
HEAD_LIMIT = 16 * 2**10
"""Bytes of an HTTP response head; the engine's has a few hundred."""
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Output(IntEnum):
    """Which of a program's streams a piece belongs to."""

    STDOUT = 1
    STDERR = 2


class BrokenStreamError(Exception):
    """The engine sent what is no attach stream."""


class Demultiplexer:
    """Cuts the engine's stream at its headers. Pieces are given out as they come, so nothing is held but a header."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._output = Output.STDOUT
        self._left = 0

    @property
    def is_between_pieces(self) -> bool:
        """Whether the stream may end here."""
        return not self._left and not self._header

    def feed(self, data: bytes) -> Iterator[tuple[Output, bytes]]:
        """The parts of pieces that `data` holds, in order.

        Raises:
            BrokenStreamError: a header is none.
        """
        at = 0
        while at < len(data):
            if self._left:
                part = data[at : at + self._left]
                self._left -= len(part)
                at += len(part)
                yield self._output, part
                continue
            taken = data[at : at + HEADER_BYTES - len(self._header)]
            self._header += taken
            at += len(taken)
            if len(self._header) == HEADER_BYTES:
                self._start_piece()

    def _start_piece(self) -> None:
        header, self._header = bytes(self._header), bytearray()
        if header[0] not in (Output.STDOUT, Output.STDERR) or header[1:4] != bytes(3):
            raise BrokenStreamError(f"the engine's attach stream holds {header.hex()} where a header belongs")
        self._output = Output(header[0])
        self._left = int.from_bytes(header[4:], "big")


def whole_outputs(data: bytes) -> list[bytes] | None:
    """What a program wrote to standard output, where `data` is nothing else and ends with a piece; else `None`."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + HEADER_BYTES
        at = start + int.from_bytes(data[at + 4 : start], "big")
        if data[start - HEADER_BYTES : start - 4] != STDOUT_MARK or at > len(data):
            return None
        found.append(data[start:at])
    return found


class Attachment:
    """One container's streams. Closing it closes the container's standard input, since it is created `StdinOnce`."""

    def __init__(self, connection: socket.socket, first: bytes) -> None:
        self._socket = connection
        self._first = first
        self._unsent = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        """That which tells when there is something to read, while it does."""
        self._arrived: bytes | None = None
        self._news = anyio.Event()
        self._demultiplexer = Demultiplexer()
        self._is_waited_for = False
        """Whether all that came has been dealt with."""
        self._offer: Callable[[list[bytes]], bool] | None = None

    def offer_first(self, take: Callable[[list[bytes]], bool]) -> None:
        """Have whole pieces of standard output offered to `take`, in their order, before `pieces` gives them out.

        It may not wait. What it takes is not given out: no task has to be woken for it. If it raises, the stream ends.
        """
        self._offer = take

    async def write(self, data: bytes) -> None:
        """See `stream.Stdin`. What a cancelled write left half done is finished first."""
        await self._flush()
        sent = self._send_some(data)
        if sent == len(data):
            return
        self._unsent += data[sent:]
        if not sent:
            # Nothing went out yet: a cancellation here may still take the whole frame back.
            await self._flush_or_take_back()
        await self._flush()

    def write_now(self, data: bytes) -> int:
        """See `stream.Stdin`."""
        if self._unsent:
            return 0
        sent = self._send_some(data)
        if sent:
            self._unsent += data[sent:]
        return sent

    async def _flush_or_take_back(self) -> None:
        try:
            await anyio.wait_writable(self._socket)
        except BaseException:
            self._unsent.clear()
            raise

    async def _flush(self) -> None:
        while self._unsent:
            sent = self._send_some(self._unsent)
            del self._unsent[:sent]
            if self._unsent and not sent:
                await anyio.wait_writable(self._socket)

    def _send_some(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    async def pieces(self) -> AsyncIterator[tuple[Output, bytes]]:
        """What the program writes, until the container or the engine is gone.

        Raises:
            BrokenStreamError: what came is no attach stream.
        """
        data, self._first = self._first, b""
        while True:
            for piece in self._demultiplexer.feed(data):
                yield piece
            data = await self._read()
            if not data:
                return

    async def _read(self) -> bytes:
        if self._arrived is None:
            self._listen()
            self._news = anyio.Event()
            self._is_waited_for = True
            try:
                await self._news.wait()
            finally:
                self._is_waited_for = False
        data, self._arrived = self._arrived, None
        return data or b""

    def _listen(self) -> None:
        """Be told from now on. To ask the kernel anew for each piece would take longer than to read it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._socket, self._take)

    def _take(self) -> None:
        """Read a piece ahead; while nobody wants it, nothing more is read."""
        if self._arrived is not None:
            self._deafen()
            return
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            if self._is_taken(data):
                return
        except Exception:
            # The boundary between one program and the event loop, which would call again as if nothing were lost.
            logger.exception("what a program wrote could not be taken, and its stream is ended")
            self.cut()
            data = b""
        self._arrived = data
        if not data:
            self._deafen()
        self._news.set()

    def _is_taken(self, data: bytes) -> bool:
        if self._offer is None or not self._is_waited_for or not data or not self._demultiplexer.is_between_pieces:
            return False
        outputs = whole_outputs(data)
        return outputs is not None and self._offer(outputs)

    def _deafen(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop = None

    def cut(self) -> None:
        """End both directions now. An engine that cannot hand output on does not finish a kill."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; waiting reads and writes must have ended."""
        self._deafen()
        self._socket.close()


async def attach(path: Path, container: str) -> Attachment:
    """Attach to a container that is created and not yet started, so that no output is lost.

    Raises:
        EngineUnavailableError: no engine, or it would not attach.
    """
    query = "stream=1&stdin=1&stdout=1&stderr=1"
    request = (
        f"POST /containers/{container}/attach?{query} HTTP/1.1\r\nHost: engine\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    )
    return Attachment(*await hijack(path, request, expect=101))


async def hijack(path: Path, request: str, *, expect: int) -> tuple[socket.socket, bytes]:
    """Send one request on a connection of its own; the connection and what came after the response's head.

    Raises:
        EngineUnavailableError: no engine answers, or with another status.
    """
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise EngineUnavailableError(
            f"No stream to the container engine can be opened: {error.strerror or error}. If this machine has no "
            "descriptors left, raise the limit of open files of the runtime (`ulimit -n`, LimitNOFILE)."
        ) from error
    try:
        connection.connect(str(path))
        connection.sendall(request.encode())
        rest = await _read_head(connection, expect)
    except (OSError, BrokenStreamError) as error:
        connection.close()
        raise EngineUnavailableError(
            f"The container engine at {path} did not open a stream: {error}. See `muxi-runtime doctor`."
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection, rest


async def _read_head(connection: socket.socket, expect: int) -> bytes:
    head = bytearray()
    while (end := head.find(b"\r\n\r\n")) < 0:
        more = await _receive(connection)
        if not more or len(head) > HEAD_LIMIT:
            raise BrokenStreamError("it answered with no HTTP response")
        head += more
    status = STATUS.match(head)
    if status is None or int(status[1]) != expect:
        answer = bytes(head[:end]).split(b"\r\n")[0].decode("ascii", "replace")
        raise BrokenStreamError(f"it answered {answer!r}")
    return bytes(head[end + 4 :])


async def _receive(connection: socket.socket) -> bytes:
    while True:
        try:
            return connection.recv(READ_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(connection)
