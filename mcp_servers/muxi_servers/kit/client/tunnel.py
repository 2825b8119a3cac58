"""A connection to a host through the sandbox's proxy: in the clear for http, TLS inside a tunnel for https."""

from __future__ import annotations

import os
import ssl
from functools import cache
from urllib.parse import urlsplit

from muxi_servers.kit.client.refusals import not_let_out, refusal_of
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from muxi_servers.kit.client.errand import Errand
    from muxi_servers.kit.client.urls import Url

__all__ = ["open_connection"]

_MAX_HEAD = 16_384
_MAX_BODY = 4_096
_END = b"\r\n\r\n"
_PROXY_PORT = 3128


def open_connection(server: str, errand: Errand, url: Url) -> socket:
    """Ready for a request to the URL's host; for http to the proxy, which wants whole URLs.

    Raises:
        ToolError: the proxy refuses (`NetworkRefusedError`), nothing answers, or the certificate is not to be trusted.
    """
    proxy = os.environ.get(f"{url.scheme.upper()}_PROXY")
    if not proxy:
        raise not_let_out(server, url)
    parts = urlsplit(proxy)
    try:
        connection = errand.connect(parts.hostname or "127.0.0.1", parts.port or _PROXY_PORT)
    except OSError as error:
        raise ToolError(errand.explain(f"The sandbox's proxy does not answer: {error.strerror or error}.")) from None
    if url.scheme == "http":
        return connection
    try:
        return _secure(server, connection, url)
    except OSError as error:
        raise ToolError(errand.explain(_say(error, url))) from None
    finally:
        connection.close()  # what is wrapped has taken its descriptor over


def _secure(server: str, connection: socket, url: Url) -> socket:
    authority = f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"
    connection.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode("ascii"))
    status, headers, body = _read_answer(connection)
    if status != 200:  # noqa: PLR2004 - the one status that opens a tunnel
        refusal = refusal_of(server, url, headers, body)
        raise refusal or ToolError(f"The sandbox's proxy does not connect to {url.authority}: status {status}.")
    return _context().wrap_socket(connection, server_hostname=url.host)


def _read_answer(connection: socket) -> tuple[int, dict[str, str], bytes]:
    """The proxy's status, headers with names in lower case, and the beginning of the body of a refusal."""
    data = b""
    while (end := data.find(_END)) < 0:
        more = connection.recv(_MAX_HEAD)
        if not more or len(data) > _MAX_HEAD:
            raise ConnectionError("the proxy closed the connection without an answer")
        data += more
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = data[end + len(_END) :]
    while status != 200 and len(body) < _MAX_BODY and (more := connection.recv(_MAX_BODY)):  # noqa: PLR2004
        body += more
    return status, headers, body


@cache
def _context() -> ssl.SSLContext:
    """Trusts what the sandbox trusts: SSL_CERT_FILE where the proxy reads along, else the image's authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _say(error: OSError, url: Url) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {url.authority} is not to be trusted: {error.verify_message}. Nothing was sent to it."
        )
    return f"No secure connection to {url.authority}: {error.strerror or error}."
