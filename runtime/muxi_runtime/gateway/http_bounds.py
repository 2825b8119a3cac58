"""Bodies that end: an HTTP transport which refuses a JSON answer beyond a limit. Event streams are bounded by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["BoundedTransport"]

EVENTS = "text/event-stream"


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Wraps a transport. A body of more than `limit` bytes ends with `httpx2.ReadError`."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, limit: int) -> None:
        self._inner = inner
        self._limit = limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As the wrapped one."""
        response = await self._inner.handle_async_request(request)
        is_events = response.headers.get("content-type", "").lower().startswith(EVENTS)
        if not is_events and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, self._limit)
        return response

    async def aclose(self) -> None:
        """As the wrapped one."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int) -> None:
        self._inner = inner
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async for part in self._inner:
            left -= len(part)
            if left < 0:
                raise httpx2.ReadError(f"the answer has more than {self._limit} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
