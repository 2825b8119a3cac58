"""One request and its answer, by the sandbox's proxy: bounded in time and size, and ended when the call is.

The proxy is spoken to here, not by `http.client`: what it says when it refuses is what the caller has to know.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
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

    proxy = urlsplit(os.environ.get("HTTPS_PROXY") or "")
    if not proxy.hostname or not proxy.port:
        raise ToolError(
            f"There is no network for {request.host}. An operator can allow it: network.allow of this server in muxi.yaml."
        )
    ended: list[str] = []
    try:
        connection = _connected(proxy.hostname, proxy.port)
    except OSError as error:
        raise ToolError(f"The sandbox's proxy does not answer: {error.strerror or error}. Try it again.") from error

    def end(why: str) -> None:
        ended.append(why)
        _shut(connection)

    timer = Timer(SECONDS, end, [f"did not answer within {SECONDS:g} s"])
    timer.daemon = True
    call.on_cancel(lambda: end("was not waited for any more"))
    try:
        timer.start()
        return _exchanged(connection, request)
    except (OSError, HTTPException, ValueError) as error:
        why = ended[0] if ended else f"could not be reached, or answered what is no HTTP: {_words(error)}"
        raise ToolError(f"{request.host} {why}.") from error
    finally:
        timer.cancel()
        connection.close()


def _connected(host: str, port: int) -> socket.socket:
    import socket  # noqa: PLC0415 - as above

    return socket.create_connection((host, port), timeout=SECONDS)


def _shut(connection: socket.socket) -> None:
    import socket  # noqa: PLC0415 - as above

    try:
        # The socket's own: the one of TLS would change what another thread reads from.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


def _exchanged(connection: socket.socket, request: Request) -> Answer:
    from http.client import HTTPConnection  # noqa: PLC0415 - as above

    target = request.target
    if request.scheme == "https":
        _open_tunnel(connection, request)
        connection = _secured(connection, request.host)
    else:
        target = request.url
    client = HTTPConnection(request.host, request.port)
    client.sock = connection
    client.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in [("Host", request.authority), ("Connection", "close"), *request.headers]:
        client.putheader(name, value)
    if request.body is not None or request.method in {"POST", "PUT", "PATCH"}:
        client.putheader("Content-Length", str(len(request.body or b"")))
    client.endheaders(request.body)
    with client.getresponse() as response:
        _check_refusal(response)
        return _read(response)


def _open_tunnel(connection: socket.socket, request: Request) -> None:
    """Have the proxy connect.

    Raises:
        ToolError: it does not; in its own words.
    """
    from http.client import HTTPResponse  # noqa: PLC0415 - as above

    host = f"[{request.host}]" if ":" in request.host else request.host
    place = f"{host}:{request.port}"
    connection.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode("ascii"))
    response = HTTPResponse(connection, method="CONNECT")
    response.begin()
    if response.status == 200:  # noqa: PLR2004 - OK
        response.fp = None  # type: ignore[assignment]  # what follows is the tunnel's
        return
    raise ToolError(f"The way out refused {place}: {_said(connection, response)}")


def _said(connection: socket.socket, response: HTTPResponse) -> str:
    length = min(int(response.headers.get("Content-Length") or 0), MAX_REFUSAL_BYTES)
    del connection
    text = response.fp.read(length).decode("utf-8", "replace").strip() if response.fp else ""
    return text.removeprefix("muxi-runtime: ") or f"{response.status} {response.reason}"


def _secured(connection: socket.socket, host: str) -> socket.socket:
    import ssl  # noqa: PLC0415 - as above

    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context.wrap_socket(connection, server_hostname=host)


def _check_refusal(response: HTTPResponse) -> None:
    if response.headers.get(_REFUSED):
        text = response.read(MAX_REFUSAL_BYTES).decode("utf-8", "replace").strip()
        raise ToolError(f"The way out refused it: {text.removeprefix('muxi-runtime: ')}")


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
