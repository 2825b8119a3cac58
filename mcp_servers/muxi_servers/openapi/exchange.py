"""One request and its answer, by the sandbox's proxy: bounded in time and size, and ended when the call is.

The proxy is spoken to here, not by `http.client`: what it says when it refuses is what the caller has to know.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from muxi_servers.kit.client.refusals import proxy_may_speak
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPResponse

    from muxi_servers.kit.call import Call
    from muxi_servers.openapi.request import Request

__all__ = ["MAX_ANSWER_BYTES", "SECONDS", "Answer", "exchange"]

SECONDS = 60.0
"""From the connection to the last byte."""
MAX_ANSWER_BYTES = 4 * 2**20
MAX_REFUSAL_BYTES = 4096
_CHUNK = 65_536
_REFUSED = "X-Muxi-Rule"


class Answer:
    """What came back.

    Attributes:
        headers: names in lower case; of several of one name, all with commas between.
        is_whole: whether the body ends where it is cut.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str], body: bytes, *, is_whole: bool) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.is_whole = is_whole

    @property
    def media_type(self) -> str:
        """Without its parameters, in lower case; empty where none is named."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def exchange(call: Call, request: Request) -> Answer:
    """Send it and wait.

    Raises:
        ToolError: there is no network, the proxy refused, or the host does not answer as HTTP has it.
    """
    from http.client import HTTPException  # noqa: PLC0415 - a few megabytes that an idle server does not need
    from threading import Timer  # noqa: PLC0415 - as above

    wire = _Wire(request)
    call.on_cancel(lambda: wire.end("was not waited for any more"))
    timer = Timer(SECONDS, wire.end, [f"did not answer within {SECONDS:g} s"])
    timer.daemon = True
    timer.start()
    try:
        return wire.exchange()
    except (OSError, HTTPException, ValueError) as error:
        why = wire.ended or f"could not be reached, or answered what is no HTTP: {_words(error)}"
        raise ToolError(f"{request.host} {why}.") from error
    finally:
        timer.cancel()
        wire.close()


class _Wire:
    """One connection, which another thread may end.

    Attributes:
        ended: why it was, completing "HOST ..."; empty if it was not.
    """

    def __init__(self, request: Request) -> None:
        """Connect to the proxy.

        Raises:
            ToolError: there is none.
        """
        import socket  # noqa: PLC0415 - as in `exchange`

        proxy = urlsplit(os.environ.get("HTTPS_PROXY") or "")
        if not proxy.hostname or not proxy.port:
            raise ToolError(
                f"There is no network for {request.host}. An operator can allow it: network.allow of this server in"
                " muxi.yaml."
            )
        self._request = request
        self.ended = ""
        try:
            self._socket = socket.create_connection((proxy.hostname, proxy.port), timeout=SECONDS)
        except OSError as error:
            raise ToolError(f"The sandbox's proxy does not answer: {error.strerror or error}. Try it again.") from error

    def end(self, why: str) -> None:
        """Have whoever waits for the host wait no longer."""
        import socket  # noqa: PLC0415 - as in `exchange`

        self.ended = self.ended or why
        try:
            # The plain socket's own: that of TLS would change what another thread is reading from.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def exchange(self) -> Answer:
        """See `exchange`; raises what its parts raise."""
        from http.client import HTTPConnection  # noqa: PLC0415 - as in `exchange`

        request = self._request
        target = request.url
        if request.scheme == "https":
            self._open_tunnel()
            self._secure()
            target = request.target
        client = HTTPConnection(request.host, request.port)
        client.sock = self._socket
        client.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in [("Host", request.authority), ("Connection", "close"), *request.headers]:
            client.putheader(name, value)
        if request.body is not None or request.method in {"POST", "PUT", "PATCH"}:
            client.putheader("Content-Length", str(len(request.body or b"")))
        client.endheaders(request.body)
        with client.getresponse() as response:
            if proxy_may_speak(request.scheme):
                _check_refusal(response)
            return _read(response)

    def _open_tunnel(self) -> None:
        """Have the proxy connect.

        Raises:
            ToolError: it does not; in its own words.
        """
        from http.client import HTTPResponse  # noqa: PLC0415 - as in `exchange`

        host = f"[{self._request.host}]" if ":" in self._request.host else self._request.host
        place = f"{host}:{self._request.port}"
        self._socket.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode("ascii"))
        with HTTPResponse(self._socket, method="CONNECT") as response:
            response.begin()
            if response.status == 200:  # noqa: PLR2004 - OK
                return
            said = _said(response) or f"{response.status} {response.reason}"
            raise ToolError(f"The way out refused {place}: {said}")

    def _secure(self) -> None:
        """Speak TLS from here on; the host's certificate is verified against what the sandbox trusts."""
        import ssl  # noqa: PLC0415 - as in `exchange`

        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        secured = context.wrap_socket(self._socket, server_hostname=self._request.host, do_handshake_on_connect=False)
        self._socket = secured
        if not self.ended:  # while it was no socket, nobody could have ended it
            secured.do_handshake()


def _check_refusal(response: HTTPResponse) -> None:
    if response.headers.get(_REFUSED):
        raise ToolError(f"The way out refused it: {_said(response)}")


def _said(response: HTTPResponse) -> str:
    text = response.read(MAX_REFUSAL_BYTES).decode("utf-8", "replace")
    return text.strip().removeprefix("muxi-runtime: ")


def _read(response: HTTPResponse) -> Answer:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ToolError("The API answered compressed, which it was asked not to do; it cannot be read here.")
    body = bytearray()
    while len(body) <= MAX_ANSWER_BYTES:
        chunk = response.read1(_CHUNK)
        if not chunk:
            break
        body += chunk
    whole = len(body) <= MAX_ANSWER_BYTES
    return Answer(response.status, response.reason, headers, bytes(body[:MAX_ANSWER_BYTES]), is_whole=whole)


def _words(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
