"""Calls an operation, follows the pages of its list, and stays at the host that it was sent to."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

from muxi_servers.kit.errors import ToolError
from muxi_servers.openapi.answers import MAX_DATA_BYTES, Reply, failure
from muxi_servers.openapi.exchange import exchange
from muxi_servers.openapi.request import make_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.client.exchange import Answer
    from muxi_servers.kit.content import ToolResult
    from muxi_servers.openapi.document import Operation
    from muxi_servers.openapi.request import Request

__all__ = ["perform"]

MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
FIRST_FAILURE = 300
_SAFE = "/-._~!$&'()*+,;=:@%?[]|"


def perform(call: Call, operation: Operation, arguments: dict[str, Any], secrets: Mapping[str, str]) -> ToolResult:
    """One tool call.

    Raises:
        ToolError: it could not be sent, or was not answered.
    """
    wanted = int(arguments.get("pages", 1))
    request = make_request(operation, arguments, secrets)
    request, answer = _followed(call, operation, request)
    if answer.status >= FIRST_FAILURE:
        return failure(answer, request)
    reply = Reply(answer, operation.answer)
    if operation.pages is not None:
        _Pages(call, operation, arguments, secrets).follow(reply, request, answer, wanted)
    return reply.result(request)


def _followed(call: Call, operation: Operation, request: Request) -> tuple[Request, Answer]:
    """The answer; a request that only reads follows to other places of the same host."""
    for _ in range(MAX_REDIRECTS):
        answer = exchange(call, operation.server, request)
        location = answer.headers.get("location")
        if answer.status not in REDIRECTS or not location or request.method not in {"GET", "HEAD"}:
            return request, answer
        target = _same_host(request, location)
        if target is None:
            return request, answer
        request = request.to(target)
    return request, exchange(call, operation.server, request)


class _Pages:
    """The pages after the first."""

    def __init__(self, call: Call, operation: Operation, arguments: dict[str, Any], secrets: Mapping[str, str]) -> None:
        assert operation.pages is not None  # noqa: S101 - whoever made this looked  # nosec B101
        self._call = call
        self._operation = operation
        self._arguments = arguments
        self._secrets = secrets
        self._way: dict[str, Any] = operation.pages

    def follow(self, reply: Reply, request: Request, answer: Answer, wanted: int) -> None:
        """Put pages together in `reply`, until there are as many as wanted or no more."""
        items = _at(reply.data, self._way["items"])
        size = len(answer.body)
        page, seen = reply.data, {request.place.target}
        while isinstance(items, list):
            following = self._next(request, answer, page, reply)
            reply.more = following is not None
            if following is None or reply.pages >= wanted:
                return
            if following.place.target in seen or size > MAX_DATA_BYTES:
                reply.notes.append(
                    "the pages lead in a circle" if following.place.target in seen else "the list is too long to go on"
                )
                return
            seen.add(following.place.target)
            self._call.progress(f"page {reply.pages + 1}")
            request, answer = _followed(self._call, self._operation, following)
            page = Reply(answer, {}).data
            more = _at(page, self._way["items"])
            if answer.status >= FIRST_FAILURE or not isinstance(more, list):
                reply.notes.append(f"the next page could not be had: {answer.status} {answer.reason}")
                return
            items += more
            size += len(answer.body)
            reply.pages += 1
            reply.more = False

    def _next(self, request: Request, answer: Answer, page: object, reply: Reply) -> Request | None:
        kind = self._way["kind"]
        if kind in {"url", "link"}:
            url = _at(page, self._way["path"]) if kind == "url" else _link(answer.headers.get("link", ""))
            if not isinstance(url, str) or not url:
                return None
            target = _same_host(request, url)
            if target is None:
                reply.notes.append("the next page is at another host, and is not followed")
                return None
            return request.to(self._with_credentials(target))
        name = self._way["argument"]
        if kind == "cursor":
            value = _at(page, self._way["path"])
            return self._asked(name, value) if isinstance(value, str | int) and value not in {"", False} else None
        if not _at(page, self._way["items"]):
            return None
        return self._asked(name, int(self._arguments.get(name, 1)) + 1)

    def _asked(self, name: str, value: str | int) -> Request | None:
        self._arguments = {**self._arguments, name: value}
        try:
            return make_request(self._operation, self._arguments, self._secrets)
        except ToolError:
            return None

    def _with_credentials(self, target: str) -> str:
        """What stands in the query may be left out of a link."""
        for credential in self._operation.credentials:
            value = self._secrets.get(credential["secret"])
            if credential["in"] == "query" and value is not None and value not in target:
                target += f"{'&' if '?' in target else '?'}{quote(credential['name'], safe='')}={value}"
        return target


def _same_host(request: Request, url: str) -> str | None:
    """Path and query of a URL at the same scheme, host and port; `None` for any other."""
    at = request.place
    try:
        parts = urlsplit(urljoin(str(at), url))
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    if (parts.scheme, parts.hostname, port) != (at.scheme, at.host, at.port) or "@" in parts.netloc:
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(target, safe=_SAFE)


def _at(value: object, path: list[str]) -> Any:  # noqa: ANN401 - any JSON value
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _link(header: str) -> str | None:
    """The target of `rel="next"` in a Link header (RFC 8288)."""
    for part in header.split("<")[1:]:
        url, closed, parameters = part.partition(">")
        words = parameters.replace('"', " ").replace("=", " ").replace(";", " ").replace(",", " ").lower().split()
        if closed and "rel" in words and "next" in words[words.index("rel") :]:
            return url.strip()
    return None
