"""Where the browser comes back to after a login: one port of this machine's loopback address (RFC 8252, 7.3).

It answers nothing but the one answer that is waited for, told by its state: whoever else asks gets 404, and the wait
goes on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from muxi_runtime.errors import LoginError

__all__ = ["Callback", "listening"]

PATH = "/callback"
ADDRESS = "127.0.0.1"
LOOK_SECONDS = 0.5
REQUEST_SECONDS = 5
PARAMETERS = ("state", "code", "iss", "error")
PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>muxi-runtime</title>
<p>Go back to the terminal: it says whether you are logged in. This page can be closed.</p></html>
"""
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass
class Callback:
    """The port, and what came to it.

    Attributes:
        uri: where the authorization server sends the browser to.
    """

    uri: str
    server: HTTPServer
    state: str = ""
    brought: dict[str, str] = field(default_factory=dict)

    def wait(self, state: str, seconds: float) -> dict[str, str]:
        """The parameters that the browser brings back for the login of this `state`.

        Raises:
            LoginError: nobody came in time.
        """
        self.state = state
        ends = time.monotonic() + seconds
        while not self.brought:
            if time.monotonic() > ends:
                raise LoginError(f"Nobody came back from the browser within {seconds:g} s.", remedy="Try again.")
            self.server.handle_request()
        return self.brought

    def take(self, target: str) -> bool:
        """Whether a request for `target` is what is waited for; it is kept then."""
        parts = urlsplit(target)
        found = parse_qs(parts.query, keep_blank_values=True)
        if parts.path != PATH or any(len(values) != 1 for values in found.values()):
            return False
        brought = {name: found[name][0] for name in PARAMETERS if name in found}
        if not self.state or not secrets.compare_digest(brought.get("state", "").encode(), self.state.encode()):
            return False
        self.brought = brought
        return True


@contextmanager
def listening(port: int = 0) -> Iterator[Callback]:
    """The port for the block; 0 takes a free one.

    Raises:
        LoginError: it is taken.
    """
    try:
        server = HTTPServer((ADDRESS, port), _Handler)
    except OSError as error:
        raise LoginError(
            f"Port {port} of {ADDRESS} cannot be listened on: {error.strerror}.", remedy="Give another --port."
        ) from error
    with server:
        server.timeout = LOOK_SECONDS
        callback = Callback(f"http://{ADDRESS}:{server.server_port}{PATH}", server)
        server.callback = callback  # type: ignore[attr-defined]  # how a handler of the standard library finds it
        yield callback


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = REQUEST_SECONDS
    server_version = "muxi-runtime"
    sys_version = ""

    def do_GET(self) -> None:
        """Take it, if it is the one."""
        callback: Callback = self.server.callback  # type: ignore[attr-defined]  # see `listening`
        is_it = callback.take(self.path)
        self.send_response(HTTPStatus.OK if is_it else HTTPStatus.NOT_FOUND)
        body = PAGE if is_it else b""
        for name, value in {**HEADERS, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Nothing: a code would stand in it."""
        del format, args
