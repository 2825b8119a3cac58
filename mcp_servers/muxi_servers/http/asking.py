"""What a call's arguments ask for, as a request: checked, so that no header of the connection's own is set by them."""

from __future__ import annotations

import os
import re
from urllib.parse import urlencode

from muxi_servers.http.credentials import Credentials
from muxi_servers.kit.client.exchange import Request
from muxi_servers.kit.client.urls import parse_url
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["check_may_send", "make_request"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8000}")
_RESERVED = frozenset(
    (
        *("host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect"),
        *("keep-alive", "accept-encoding", "via", "forwarded"),
    )
)


def check_may_send() -> None:
    """Raises ToolError where the operator did not allow requests that change things."""
    if os.environ.get("HTTP_SEND") != "allow":
        raise ToolError(
            "This server only asks: requests that change things are not allowed. An operator can allow them in "
            "muxi.yaml: servers.http.environment.HTTP_SEND: allow. To read, use get."
        )


def make_request(method: str, arguments: dict[str, Any]) -> tuple[Request, Credentials]:
    """The request without its body, and what was put into it of secrets.

    Raises:
        ToolError: an argument that no request can be made of.
    """
    credentials = Credentials(arguments["auth"])
    headers = [(name, _text(value)) for name, value in arguments["headers"].items()]
    _check(headers)
    _check(credentials.headers)
    given = {name.lower() for name, _ in headers}
    twice = next((name for name, _ in credentials.headers if name.lower() in given), None)
    if twice:
        raise ToolError(f"The header {twice} is set in headers and by auth: leave it out of headers.")
    query = [(name, _text(value)) for name, value in arguments["query"].items()] + credentials.query
    url = parse_url(arguments["url"])
    if query:
        url = parse_url(f"{url}{'&' if '?' in url.target else '?'}{urlencode(query)}")
    return Request(url, method, [*headers, *credentials.headers]), credentials


def _text(value: object) -> str:
    """As JSON writes it, but a text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _check(headers: list[tuple[str, str]]) -> None:
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise ToolError(f"{name[:60]!r} is no name of a header: letters, digits and - make one.")
        if name.lower() in _RESERVED or name.lower().startswith(("proxy-", "x-muxi-")):
            raise ToolError(f"The header {name} is the connection's own: leave it out.")
        if not _VALUE.fullmatch(value):
            raise ToolError(
                f"The value of the header {name} cannot be sent: one line of Latin-1 with at most 8000 characters can."
            )
