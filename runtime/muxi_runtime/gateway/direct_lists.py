"""Plain requests for the list of tools in the modern era: answered with JSON that was made once for all who ask.

The definitions of a hundred servers take the SDK longer to model and write than all else together takes. What a list
holds depends on the path and the mode alone, until the tools change. Anything but a plain request goes on to what is
below.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mcp_types as types
from mcp_types.methods import serialize_server_result
from starlette.requests import Request

from muxi_runtime.gateway.plain_requests import may_be_plain, once_more, read_body, read_plain

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from muxi_runtime.gateway.front import Front

__all__ = ["DirectLists"]

METHOD = "tools/list"
PARAMETERS = frozenset({"_meta"})
MOST_KEPT = 256
"""Lists of different paths, modes and versions; a client can name only servers that there are."""


class DirectLists:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, front: Front) -> None:
        self._app = app
        self._front = front
        self._made: dict[tuple[str, str | None, str], bytes] = {}
        front.on_tools_change(self._made.clear)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain request for the list; pass on all else."""
        request = Request(scope, receive)
        if not may_be_plain(request, METHOD):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        asked = read_plain(body, request.headers, METHOD, PARAMETERS)
        if asked is None:
            await self._app(scope, once_more(body, receive), send)
            return
        text = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (
            json.dumps(asked.id).encode(),
            self._list(request, asked.version),
        )
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    def _list(self, request: Request, version: str) -> bytes:
        key = (version, *self._front.list_key(request))
        made = self._made.get(key)
        if made is None:
            result = {**self._front.listed(request), "ttlMs": 0, "cacheScope": "private"}
            result = serialize_server_result(METHOD, version, result)
            result["_meta"] = {types.SERVER_INFO_META_KEY: self._front.server.server_info_stamp}
            made = json.dumps(result, separators=(",", ":")).encode()
            if len(self._made) < MOST_KEPT:
                self._made[key] = made
        return made
