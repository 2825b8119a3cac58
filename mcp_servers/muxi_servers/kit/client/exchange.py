"""One request and its answer, bounded in size and in time."""

from __future__ import annotations

import zlib
from http.client import HTTPConnection, HTTPException, HTTPResponse
from time import monotonic

from muxi_servers.kit.client.decoding import ACCEPTED, make_inflater
from muxi_servers.kit.client.refusals import proxy_may_speak, refusal_of
from muxi_servers.kit.client.tunnel import open_connection
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from muxi_servers.kit.client.decoding import Inflater
    from muxi_servers.kit.client.errand import Errand
    from muxi_servers.kit.client.urls import Url

    Headers = list[tuple[str, str]]

__all__ = ["Answer", "Exchange", "Request"]

_CHUNK = 65_536
_PROGRESS_SECONDS = 1.0
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))  # an empty one is announced too: RFC 9110, 8.6
_COMPRESSED_SLACK = 65_536
"""Compressed bytes that may be read beyond the limit: a stream of nothing but headers of gzip gives no bytes at all."""


class Request:
    """What is asked. `body` is bytes, or an open file of which `length` bytes are sent."""

    __slots__ = ("body", "headers", "length", "method", "url")

    def __init__(
        self,
        url: Url,
        method: str = "GET",
        headers: Headers | None = None,
        body: bytes | BinaryIO | None = None,
        length: int | None = None,
    ) -> None:
        self.url = url
        self.method = method
        self.headers = headers or []
        self.body = body
        self.length = len(body) if isinstance(body, bytes) else length


class Answer:
    """What came back.

    Attributes:
        headers: all of them; names in lower case, those that came twice joined by a comma.
        body: not compressed, at most as many bytes as were wanted; empty where a sink took it.
        size: bytes of the body that came, not compressed.
        is_whole: whether that is all of it; false where the limit was reached.
    """

    def __init__(self, status: int, reason: str, headers: Headers) -> None:
        self.status = status
        self.reason = reason[:100]
        self.headers: dict[str, str] = {}
        for name, value in headers:
            known = self.headers.get(name.lower())
            self.headers[name.lower()] = value if known is None else f"{known}, {value}"
        self.body = b""
        self.size = 0
        self.is_whole = True

    @property
    def media_type(self) -> str:
        """Without its parameters, in lower case; empty if it does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def parameter(self, name: str) -> str:
        """Of its media type, as `charset`; empty if there is none."""
        for part in self.headers.get("content-type", "").split(";")[1:]:
            key, _, value = part.partition("=")
            if key.strip().lower() == name:
                return value.strip().strip("\"'")
        return ""


class Exchange:
    """Makes requests for one server."""

    def __init__(self, server: str, agent: str) -> None:
        """`server` is named in refusals; `agent` is what hosts are told."""
        self._server = server
        self._agent = agent

    def ask(
        self, errand: Errand, request: Request, limit: int, sink: Callable[[bytes], object] | None = None
    ) -> Answer:
        """Send it, and read at most `limit` bytes of the answer's body. Redirects are answers like any other.

        Args:
            errand: the call's, for its time.
            request: what to send.
            limit: bytes of the body that are read, after it is decompressed.
            sink: takes the body piece by piece, in place of `Answer.body`. It gets no body of an error or a redirect.

        Raises:
            ToolError: no answer that could be used; `NetworkRefusedError` where the proxy refuses.
        """
        url = request.url
        connection = HTTPConnection(url.host, url.port)
        connection.sock = open_connection(self._server, errand, url)
        try:
            self._send(connection, request)
            response = connection.getresponse()
            answer = Answer(response.status, response.reason, response.getheaders())
            _Reading(errand, answer, limit, sink).read(response)
        except (OSError, HTTPException, zlib.error, ValueError) as error:
            raise ToolError(errand.explain(_say(error, url))) from None
        finally:
            connection.close()
        errand.check()  # a connection that was cut can look like one that ended
        refusal = refusal_of(self._server, url, answer.headers, answer.body) if proxy_may_speak(url.scheme) else None
        if refusal:
            raise refusal
        return answer

    def _send(self, connection: HTTPConnection, request: Request) -> None:
        url = request.url
        target = url.target if url.scheme == "https" else str(url)
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", url.authority)
        given = {name.lower() for name, _ in request.headers}
        own = (("User-Agent", self._agent), ("Accept", "*/*"), ("Accept-Encoding", ACCEPTED), ("Connection", "close"))
        for name, value in [*[pair for pair in own if pair[0].lower() not in given], *request.headers]:
            connection.putheader(name, value)
        if request.body is not None or request.method in _WITH_BODY:
            connection.putheader("Content-Length", str(request.length or 0))
        body = request.body
        connection.endheaders(body if body is None or isinstance(body, bytes) else _Part(body, request.length or 0))


class _Part:
    """The first bytes of a file, as many as were announced, though it grows while they are sent."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def read(self, size: int = _CHUNK) -> bytes:
        """The next bytes; none at the end.

        Raises:
            ToolError: the file has become shorter: the host would wait for the rest.
        """
        piece = self._file.read(min(size, self._left))
        if not piece and self._left:
            raise ToolError("The file became shorter while it was sent. Send it again when nothing changes it.")
        self._left -= len(piece)
        return piece


class _Reading:
    """Reads the body of one answer."""

    def __init__(self, errand: Errand, answer: Answer, limit: int, sink: Callable[[bytes], object] | None) -> None:
        self._errand = errand
        self._answer = answer
        self._limit = limit
        self._sink = sink if 200 <= answer.status < 300 else None  # noqa: PLR2004 - those that mean success
        self._kept = bytearray()
        self._wire = 0
        self._told_at = monotonic()

    def read(self, response: HTTPResponse) -> None:
        """Until the end of the body or the limit.

        Raises:
            HTTPException, OSError, zlib.error, ValueError: it is broken, or ends before its end.
        """
        promised = response.length  # of a body that is not chunked; None where its end is that of the connection
        inflater = make_inflater(self._answer.headers.get("content-encoding", ""))
        while self._answer.is_whole and (promised is None or self._wire < promised):
            data = response.read1(_CHUNK)
            if not data:
                break
            self._wire += len(data)
            self._take(data, inflater)
            self._tell()
        if self._answer.is_whole and (self._wire < (promised or 0) or (inflater and self._wire and inflater.is_open)):
            raise HTTPException("it ended too early")
        self._answer.body = bytes(self._kept)

    def _take(self, data: bytes, inflater: Inflater | None) -> None:
        while data:
            room = self._limit - self._answer.size
            piece = inflater.take(data, room + 1) if inflater else data[: room + 1]
            data = inflater.held if inflater else b""
            self._keep(piece[:room])
            self._answer.size += min(len(piece), room)
            if len(piece) > room or self._wire > self._limit + _COMPRESSED_SLACK:
                self._answer.is_whole = False
                return

    def _keep(self, piece: bytes) -> None:
        if self._sink:
            self._sink(piece)
        else:
            self._kept += piece

    def _tell(self) -> None:
        now = monotonic()
        if now - self._told_at >= _PROGRESS_SECONDS:
            self._told_at = now
            self._errand.call.progress(f"{self._answer.size} bytes came so far")


def _say(error: Exception, url: Url) -> str:
    if isinstance(error, zlib.error):
        return f"The answer of {url.authority} is broken: it is not compressed as it says ({error})."
    if isinstance(error, HTTPException):
        return f"The answer of {url.authority} is broken: {str(error).strip()[:200] or type(error).__name__}."
    return f"{url.authority} did not answer as it should: {getattr(error, 'strerror', None) or str(error)[:200]}."
