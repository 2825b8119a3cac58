"""Tars to and from the running runtime. Above: `cli.workspace`. Below: `gateway.workspace_routes`.

Neither side trusts the other's lengths: a body is read piece by piece, up to what any tar within the bounds can have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from muxi_runtime.cli.runtime_client import START, RuntimeClient, refusal
from muxi_runtime.errors import NotRunningError, RefusedError, ServerError

__all__ = ["Transfer"]

SECONDS = 600
"""For one answer: the runtime may have to pack a gigabyte before its first byte."""
PIECE = 2**18
MAX_ANSWER_BYTES = 64 * 2**20
MAX_TAR_BYTES = 2**31
REPORT_HEADER = "Muxi-Report"
TAR = "application/x-tar"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One way to one runtime; `moved` hears how many bytes have passed so far."""

    runtime: RuntimeClient
    moved: Callable[[int], None] = lambda _count: None

    def ask(self, method: str, *path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that answers.

        Raises:
            NotRunningError | IdentityError | RefusedError | ServerError: as `RuntimeClient.get`.
        """
        return self._exchange(method, path, query or {}, None, self._document)

    def put(self, *path: str, query: Mapping[str, str], source: BinaryIO) -> dict[str, Any]:
        """Send a tar; the JSON object that answers. Raises as `ask`."""
        return self._exchange("PUT", path, query, self._pieces(source), self._document)

    def get(self, *path: str, query: Mapping[str, str], into: BinaryIO) -> dict[str, Any]:
        """Take a tar, and what the runtime says of it. Raises as `ask`."""
        return self._exchange("GET", path, query, None, lambda answer: self._tar(answer, into))

    def _exchange(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str],
        body: Iterator[bytes] | None,
        read: Callable[[HTTPResponse], dict[str, Any]],
    ) -> dict[str, Any]:
        parts = urlsplit(self.runtime.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
        key = self.runtime.key
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        if body is not None:
            headers |= {"Content-Type": TAR, "Transfer-Encoding": "chunked"}
        target = (
            "/control/" + "/".join(quote(part, safe="") for part in path) + (f"?{urlencode(query)}" if query else "")
        )
        try:
            # A runtime that refuses may not read to the end; its answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, target, body=body, headers=headers, encode_chunked=body is not None)
            return read(connection.getresponse())
        except OSError as error:
            raise NotRunningError(
                f"No runtime answers at {self.runtime.url} ({error.strerror or error}).", remedy=START
            ) from error
        except HTTPException as error:
            raise ServerError(f"What answers at {self.runtime.url} is not this runtime: {error!r}.") from error
        finally:
            connection.close()

    def _pieces(self, source: BinaryIO) -> Iterator[bytes]:
        total = 0
        while piece := source.read(PIECE):
            total += len(piece)
            yield piece
            self.moved(total)

    def _document(self, answer: HTTPResponse) -> dict[str, Any]:
        body = answer.read(MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            raise ServerError(f"The answer from {self.runtime.url} is larger than {MAX_ANSWER_BYTES} bytes.")
        found = self._object(body, answer.status)
        if answer.status >= 400:  # noqa: PLR2004 - HTTP's first error status
            raise refusal(answer.status, found)
        return found

    def _tar(self, answer: HTTPResponse, into: BinaryIO) -> dict[str, Any]:
        if answer.headers.get_content_type() != TAR:
            return self._document(answer)
        total = 0
        while piece := answer.read(PIECE):
            total += len(piece)
            if total > MAX_TAR_BYTES:
                raise ServerError(f"The tar from {self.runtime.url} is larger than {MAX_TAR_BYTES} bytes.")
            _keep(into, piece)
            self.moved(total)
        return self._object(answer.headers.get(REPORT_HEADER, "").encode(), answer.status)

    def _object(self, text: bytes, status: int) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ServerError(
                f"What answers at {self.runtime.url} is not this runtime (HTTP {status}, no JSON object).",
                remedy="Check gateway.host and gateway.port in muxi.yaml, or --url.",
            )
        return found


def _keep(into: BinaryIO, piece: bytes) -> None:
    try:
        into.write(piece)
    except OSError as error:
        raise RefusedError(
            f"The files could not be kept while they are on their way: {error.strerror}.",
            remedy="Make room in the folder for temporary files, or name another in TMPDIR.",
        ) from error
