"""The head of a host's response, and how its body ends (RFC 9112, 6.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from muxi_sandbox.egress.heads import HEADER, LENGTH, SPACES, named_values, onward_headers
from muxi_sandbox.egress.refusal import RefusedConnectionError, is_own

__all__ = ["ANSWER_HEAD_BYTES", "CHUNKED", "UNTIL_CLOSE", "Response", "parse_response"]

STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
CHUNKED, UNTIL_CLOSE = -1, -2
"""In place of a length."""
ANSWER_HEAD_BYTES = 128 * 2**10
SWITCHING = 101
LAST_INFORMATIONAL = 199
WITHOUT_BODY = {204, 304}


@dataclass(frozen=True, slots=True)
class Response:
    """One that is final, or goes before one (1xx).

    Attributes:
        headers: without framing, those of one connection, and the proxy's own; all text is Latin-1.
        length: of the body, or one of `CHUNKED` and `UNTIL_CLOSE`.
        told_length: as its header says, of a response that has no body; empty if it does not.
        length_is_implied: it has no body, whatever its headers say.
        keeps: whether its host would answer another on the same connection.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    length: int
    told_length: str
    length_is_implied: bool
    keeps: bool
    encoding: str
    upgrade: str

    @property
    def is_informational(self) -> bool:
        """Another one follows."""
        return self.status <= LAST_INFORMATIONAL and self.status != SWITCHING

    @property
    def is_upgrade(self) -> bool:
        """What follows is no HTTP any more."""
        return self.status == SWITCHING


def parse_response(head: bytes, method: str) -> Response:
    """Read a head, without its final empty line, of the answer to a request.

    Raises:
        RefusedConnectionError: with the rule `protocol`: two readers could differ about it.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    status_line = STATUS_LINE.fullmatch(first)
    matches = [HEADER.fullmatch(line) for line in lines]
    if status_line is None or None in matches:
        raise RefusedConnectionError("protocol", "The host's answer is no HTTP/1.1.")
    headers = [(match[1], match[2].strip(SPACES)) for match in matches if match]
    status = int(status_line[2])
    words = {word.strip().lower() for value in named_values(headers, "connection") for word in value.split(",")}
    length = _length(headers)
    is_empty = method == "HEAD" or status <= LAST_INFORMATIONAL or status in WITHOUT_BODY
    return Response(
        status,
        status_line[3] or "",
        tuple(pair for pair in onward_headers(headers) if pair[0].lower() != "content-length" and not is_own(*pair)),
        0 if is_empty else length,
        str(length) if is_empty and length >= 0 and status > LAST_INFORMATIONAL else "",
        length_is_implied=is_empty,
        keeps=status_line[1] == "1" and "close" not in words and (is_empty or length != UNTIL_CLOSE),
        encoding=", ".join(named_values(headers, "content-encoding")).lower(),
        upgrade=", ".join(named_values(headers, "upgrade")),
    )


def _length(headers: list[tuple[str, str]]) -> int:
    lengths = {value.strip() for text in named_values(headers, "content-length") for value in text.split(",")}
    codings = named_values(headers, "transfer-encoding")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != "chunked":
            raise RefusedConnectionError("protocol", "The host tells the length of its answer in two ways.")
        return CHUNKED
    if not lengths:
        return UNTIL_CLOSE
    length = lengths.pop()
    if lengths or not LENGTH.fullmatch(length):
        raise RefusedConnectionError("protocol", "The host tells two lengths of its answer.")
    return int(length)
