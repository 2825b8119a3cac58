"""The name that a TLS client asks for, read from its first message and never decrypted (RFC 8446, RFC 6066)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALERT", "MOST_BYTES", "Hello", "NotTlsError", "read_hello"]

ALERT = bytes.fromhex("15030100020270")
"""A fatal `unrecognized_name`: what a client understands after the tunnel was opened."""

MOST_BYTES = 32 * 2**10
"""Of records that hold a ClientHello; with post-quantum keys it has about two KiB."""
HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 22, 1, 0, 0
RECORD_HEADER, RECORD_LIMIT = 5, 2**14


class NotTlsError(Exception):
    """What came is no TLS, or none that a client may send."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message. `name` is as the client wrote it, `None` if it names nobody."""

    name: str | None


class _Reader:
    """Takes fields with a length before them from a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise NotTlsError("a field of the first TLS message ends beyond it")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def vector(self, size: int) -> _Reader:
        return _Reader(self.take(self.number(size)))


def read_hello(data: bytes) -> Hello | None:
    """The first message, or `None` while more bytes are needed.

    Raises:
        NotTlsError: it is none, whatever may follow.
    """
    handshake = _handshake(data)
    if len(handshake) < 4:  # noqa: PLR2004  # type and length
        return None
    if handshake[0] != CLIENT_HELLO:
        raise NotTlsError("the first TLS message is no ClientHello")
    size = int.from_bytes(handshake[1:4], "big")
    if size > MOST_BYTES:
        raise NotTlsError("the first TLS message is too long")
    if len(handshake) < 4 + size:
        return None
    return Hello(_name(_Reader(handshake[4 : 4 + size])))


def _handshake(data: bytes) -> bytes:
    """The contents of the records so far. A message may be cut into several."""
    contents = bytearray()
    at = 0
    while at < len(data):
        if data[at] != HANDSHAKE or (len(data) > at + 1 and data[at + 1] != 3):  # noqa: PLR2004  # SSL 3 to TLS 1.3
            if contents and len(contents) >= 4 + int.from_bytes(contents[1:4], "big"):
                break  # the message is whole: what follows is not ours to read
            raise NotTlsError("this is no TLS")
        if len(data) < at + RECORD_HEADER:
            break
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if not 0 < size <= RECORD_LIMIT:
            raise NotTlsError("a TLS record of impossible length")
        contents += data[at + RECORD_HEADER : at + RECORD_HEADER + size]
        at += RECORD_HEADER + size
    return bytes(contents)


def _name(message: _Reader) -> str | None:
    message.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session, cipher suites, compression methods
        message.vector(size)
    if message.is_over:
        return None
    extensions = message.vector(2)
    names: list[str] = []
    seen = False
    while not extensions.is_over:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == SERVER_NAME:
            if seen:
                raise NotTlsError("the first TLS message names its server twice")
            seen = True
            names = _names(body.vector(2))
    return names[0] if names else None


def _names(entries: _Reader) -> list[str]:
    names = []
    while not entries.is_over:
        if entries.number(1) != HOST_NAME:
            raise NotTlsError("a TLS server name of an unknown kind")
        try:
            names.append(entries.vector(2).rest().decode("ascii"))
        except UnicodeDecodeError:
            raise NotTlsError("a TLS server name that is not ASCII") from None
    if len(names) != 1:
        raise NotTlsError("the first TLS message names several servers")
    return names
