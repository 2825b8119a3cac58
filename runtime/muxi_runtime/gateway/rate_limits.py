"""Refuses who comes too often, with 429, and tells everybody how much is left.

By address before the key is looked at, by user and key after it: neither many sessions nor many keys get round the
user's. Headers as in draft-ietf-httpapi-ratelimit-headers-10, `RateLimit-Policy` and `RateLimit`, and `Retry-After`.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from muxi_runtime.gateway.http_auth import NOBODY, principal_in
from muxi_runtime.gateway.rates import WINDOW_SECONDS, Buckets, Rates, Taken
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from muxi_runtime.gateway.settings import RateSettings
    from muxi_runtime.identity.principal import Principal
    from muxi_runtime.journal.contract import Journal

__all__ = ["AddressRate", "CallerRate", "RateLimits", "address_of", "counted", "refusal"]

_TAKEN, _CALLER = "muxi.rates", "muxi.counted_caller"
IPV6_SITE_BITS = 64
"""Of an IPv6 address: the rest is the host's own to choose."""


class RateLimits:
    """The counts of one runtime, and how refusals are told."""

    def __init__(self, settings: RateSettings, journal: Journal, rates: Rates | None = None) -> None:
        quotas = {
            "address": settings.address_per_minute,
            "user": settings.user_per_minute,
            "key": settings.key_per_minute,
        }
        self._rates = rates or Buckets(quotas | {"failure": settings.failures_per_minute, "told": 1})
        self._journal = journal
        self.policy = ", ".join(f'"{kind}";q={quota};w={WINDOW_SECONDS}' for kind, quota in quotas.items()).encode()

    async def take(self, kind: str, who: str) -> Taken:
        """Count one; a refusal is journalled, of each that is refused once a minute."""
        taken = await self._rates.take(kind, who)
        if not taken.allowed and (await self._rates.take("told", f"{kind} {who}")).allowed:
            await self._journal.append(Draft("rate.limited", data={"kind": kind, "who": who[:200]}))
        return taken

    async def take_address(self, conn: HTTPConnection, taken: list[Taken]) -> bool:
        """Count a request before anybody knows whose it is; whether it may go on."""
        taken.append(await self.take("address", address_of(conn)))
        return taken[-1].allowed

    async def take_caller(self, principal: Principal, taken: list[Taken]) -> bool:
        """Count a request of a caller; whether it may go on."""
        # The key first: one key that comes too often takes nothing from the user's others.
        if principal.key:
            taken.append(await self.take("key", str(principal)))
            if not taken[-1].allowed:
                return False
        taken.append(await self.take("user", principal.user))
        return taken[-1].allowed

    def telling(self, send: Send, taken: list[Taken]) -> Send:
        """A `send` that adds to the answer's headers what all counts say."""

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                left = ", ".join([f'"{one.kind}";r={one.remaining};t={one.reset_seconds}' for one in taken])
                told = ((b"ratelimit-policy", self.policy), (b"ratelimit", left.encode()))
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        return tell

    async def failure(self, conn: HTTPConnection) -> int:
        """Count a request whose caller is not known: seconds to wait where there were too many, else 0."""
        return (await self.take("failure", address_of(conn))).retry_seconds


def address_of(conn: HTTPConnection) -> str:
    """Whose connection it is, as the socket says: of an IPv6 address the site. No header is believed."""
    return _counted(conn.client.host if conn.client else "")


@lru_cache(maxsize=1024)
def _counted(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> IPV6_SITE_BITS << IPV6_SITE_BITS)}/{IPV6_SITE_BITS}"


class AddressRate:
    """Outermost: counts by address, and puts what all counts say into the headers of the answer."""

    def __init__(self, app: ASGIApp, limits: RateLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or answer 429."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        may_pass = _TAKEN in scope
        taken: list[Taken] = scope.setdefault(_TAKEN, [])
        may_pass = may_pass or await self._limits.take_address(HTTPConnection(scope), taken)
        await (self._app if may_pass else refusal(taken[-1]))(scope, receive, self._limits.telling(send, taken))


class CallerRate:
    """Behind the key: counts by user and by key."""

    def __init__(self, app: ASGIApp, limits: RateLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or answer 429."""
        principal = principal_in(scope) if scope["type"] == "http" else NOBODY
        is_counted = principal is NOBODY or scope.get(_CALLER) == principal
        if not is_counted and not await self._limits.take_caller(principal, scope[_TAKEN]):
            await refusal(scope[_TAKEN][-1])(scope, receive, send)
            return
        await self._app(scope, receive, send)


def counted(taken: list[Taken], principal: Principal) -> dict[str, object]:
    """What to put into the scope of a request that was counted, and let pass, before it comes to the layers here."""
    return {_TAKEN: taken, _CALLER: principal}


def refusal(taken: Taken) -> JSONResponse:
    """The answer to who came too often."""
    text = (
        f"Too many requests of this {taken.kind}. Try again in {taken.retry_seconds} s; "
        f"gateway.rates.{taken.kind}_per_minute in muxi.yaml is the limit."
    )
    body = {"error": "too_many_requests", "error_description": text}
    return JSONResponse(body, 429, headers={"Retry-After": str(taken.retry_seconds)})
