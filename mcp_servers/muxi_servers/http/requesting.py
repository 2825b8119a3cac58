"""The tools `get` and `send`."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from muxi_servers.http.asking import check_may_send, make_request
from muxi_servers.http.replies import to_result
from muxi_servers.kit.client.errand import Errand
from muxi_servers.kit.client.exchange import Exchange, Request
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.http.credentials import Credentials
    from muxi_servers.kit.call import Call
    from muxi_servers.kit.content import ToolResult

__all__ = ["EXCHANGE", "get", "send"]

EXCHANGE = Exchange("http", "muxi-http/0.1")
_FORMS = ("json", "text", "form")


def get(call: Call, arguments: dict[str, Any]) -> ToolResult:
    """See the tool's description.

    Raises:
        ToolError: no request can be made of the arguments, or the host is not reached.
    """
    request, credentials = make_request(arguments["method"], arguments)
    return _ask(call, request, credentials, arguments)


def send(call: Call, arguments: dict[str, Any]) -> ToolResult:
    """See the tool's description.

    Raises:
        ToolError: as `get`, or the operator did not allow it.
    """
    check_may_send()
    request, credentials = make_request(arguments["method"], arguments)
    given = [name for name in _FORMS if name in arguments]
    if len(given) > 1:
        raise ToolError(f"Give one body, not {' and '.join(given)}.")
    if given:
        media_type, request.body = _body(given[0], arguments[given[0]])
        request.length = len(request.body)
        if not any(name.lower() == "content-type" for name, _ in request.headers):
            request.headers.append(("Content-Type", media_type))
    return _ask(call, request, credentials, arguments)


def _body(form: str, value: Any) -> tuple[str, bytes]:  # noqa: ANN401 - any JSON value
    if form == "json":
        return "application/json", json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    if form == "form":
        return "application/x-www-form-urlencoded", urlencode({name: str(one) for name, one in value.items()}).encode()
    return "text/plain; charset=utf-8", value.encode("utf-8", "replace")


def _ask(call: Call, request: Request, credentials: Credentials, arguments: dict[str, Any]) -> ToolResult:
    with Errand(call, arguments["timeout_seconds"]) as errand:
        answer = EXCHANGE.ask(errand, request, int(arguments["max_bytes"]))
    return to_result(request, answer, credentials)
