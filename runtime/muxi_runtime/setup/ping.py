"""Whether a container engine answers on a socket: one request, no library."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ["Answer", "ping"]

PING_SECONDS = 10
MAX_HEAD = 64 * 1024
REQUEST = b"GET /_ping HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n"


class Answer(StrEnum):
    """What came back."""

    OK = "ok"
    ABSENT = "absent"
    """No socket, or nobody behind it."""
    FORBIDDEN = "forbidden"
    """This user may not use the socket."""
    BROKEN = "broken"
    """Something is there, and it does not answer as an engine does."""


async def ping(socket: Path) -> Answer:
    """Ask, within 10 s."""
    try:
        with anyio.fail_after(PING_SECONDS):
            async with await anyio.connect_unix(socket) as stream:
                await stream.send(REQUEST)
                head = await BufferedByteReceiveStream(stream).receive_until(b"\r\n", MAX_HEAD)
    except PermissionError:
        return Answer.FORBIDDEN
    except (FileNotFoundError, ConnectionRefusedError):
        return Answer.ABSENT
    except (
        OSError,
        TimeoutError,
        anyio.EndOfStream,
        anyio.IncompleteRead,
        anyio.DelimiterNotFound,
        anyio.BrokenResourceError,
    ):
        return Answer.BROKEN
    return Answer.OK if head.endswith(b"200 OK") else Answer.BROKEN
