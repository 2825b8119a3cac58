"""Plain calls whose head was seen before: one function does what the layers of `http` do, in their order.

Above: `known_heads`, which hands requests to this that have the very bytes of a head which all layers have let pass.
Below: the same objects that the layers use. What follows from a head alone (Host, Origin, path, method) was checked
with the first; who asks, how often, and what they may is looked at in each request, as ever. Whatever is no plain call
goes the long way, where all but the counting is done once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.authentication import AuthenticationError
from starlette.requests import Request

from muxi_runtime.gateway.http_auth import NOBODY, refuse_unauthenticated
from muxi_runtime.gateway.known_heads import facts_of
from muxi_runtime.gateway.plain_requests import once_more, read_body
from muxi_runtime.gateway.rate_limits import counted, refusal

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from muxi_runtime.gateway.direct_calls import DirectCalls
    from muxi_runtime.gateway.http_auth import KeyBackend
    from muxi_runtime.gateway.rate_limits import RateLimits
    from muxi_runtime.gateway.rates import Taken
    from muxi_runtime.gateway.route_access import Guard
    from muxi_runtime.identity.principal import Principal

__all__ = ["ShortWay"]


class ShortWay:
    """An ASGI application for requests with such a head.

    Attributes:
        long: what takes all that is no plain call; set before the first request.
    """

    long: ASGIApp

    def __init__(
        self, calls: DirectCalls, limits: RateLimits, keys: KeyBackend, guard: Guard, max_body_bytes: int
    ) -> None:
        self._calls = calls
        self._limits = limits
        self._keys = keys
        self._guard = guard
        self._most = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain call; pass on all else."""
        facts = facts_of(scope)
        request: Request | None = facts.get(ShortWay)
        if request is None:
            # Nothing but its head counts, here and below; a copy, since layers write into theirs.
            request = facts[ShortWay] = Request({**scope})
        taken: list[Taken] = []
        telling = self._limits.telling(send, taken)
        principal, refused = await self._admit(request, taken)
        if refused is not None:
            await refused(scope, receive, telling)
            return
        # Only now: to read what strangers send takes more than to refuse them.
        body = await read_body(receive)
        if body is None:
            return
        call = self._calls.read(body, request) if len(body) <= self._most else None
        if call is None:
            await self.long({**scope, **counted(taken, principal)}, once_more(body, receive), send)
            return
        await self._calls.answer(call, request, principal, receive, telling)

    async def _admit(self, request: Request, taken: list[Taken]) -> tuple[Principal, Response | None]:
        """Who asks, and what they are told if they may not."""
        if not await self._limits.take_address(request, taken):
            return NOBODY, refusal(taken[-1])
        try:
            found = await self._keys.authenticate(request)
        except AuthenticationError as error:
            return NOBODY, refuse_unauthenticated(request, error)
        principal = found[1].principal if found is not None else NOBODY
        if principal is not NOBODY and not await self._limits.take_caller(principal, taken):
            return principal, refusal(taken[-1])
        return principal, await self._guard.refusal(request, principal)
