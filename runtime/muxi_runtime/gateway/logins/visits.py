"""Logins in the browser that a call asks for: an address of ours, for one user, once, for ten minutes.

    visit = visits.offer(error, principal, told)    # a call wants a login, and its client can send its user somewhere
    url = await visits.begin(visit)                 # the user is there, and goes on to the authorization server
    await visits.finish(attempt, returned)          # and comes back, with the same browser

Whoever opens an address that was made for another must not log that one in with an account of their own, nor be used
to: `pages` asks who it is before anything begins, and the browser that comes back has to be the one that went.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import anyio

from muxi_runtime.errors import ForbiddenError, LoginError, MuxiError
from muxi_runtime.identity.access import demand, demand_call
from muxi_runtime.identity.oauth.settings import is_safe_url
from muxi_runtime.identity.principal import LOCAL
from muxi_runtime.identity.roles import Action

if TYPE_CHECKING:
    from muxi_runtime.errors import LoginNeededError
    from muxi_runtime.gateway.logins.flow import Begun, Returned
    from muxi_runtime.gateway.logins.login import Login
    from muxi_runtime.identity.principal import Principal

__all__ = ["CALLBACK", "PAGE", "Visit", "Visits"]

PAGE = "/login/"
CALLBACK = "/callback"
"""As the command's: a registered client may have it as its redirect address, with any port."""
SECONDS = 600
MOST = 200
MOST_EACH = 5

Told = Callable[["Visit"], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Visit:
    """One address.

    Attributes:
        id: in the address; who knows it can see what it is for.
        number: what the client knows it by.
        principal: whose login it is.
        told: awaited when its user is logged in.
        ends_at: monotonic seconds.
        attempt: of the desk, once it has begun.
        is_done: whether the user is logged in by it.
    """

    server: str
    principal: Principal
    scopes: tuple[str, ...]
    told: Told
    ends_at: float
    id: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    number: str = field(default_factory=lambda: secrets.token_hex(16))
    attempt: str = field(default="", repr=False)
    has_begun: bool = False
    is_done: bool = False
    over: anyio.Event = field(default_factory=anyio.Event)

    @property
    def needs_key(self) -> bool:
        """Whether who opens the address has to show who they are: all but who needs no key on this machine."""
        return self.principal != LOCAL


class Desk(Protocol):
    """What makes logins: `desk.LoginDesk`."""

    def is_by_browser(self, server: str) -> bool:
        """Whether a person can log in there."""

    async def begin(self, server: str, user: str, *, by: str, redirect_uri: str, scopes: Sequence[str]) -> Begun:
        """See `LoginDesk`."""

    async def finish(self, attempt: str, returned: Returned, *, by: str) -> tuple[str, str, Login]:
        """See `LoginDesk`."""


class Visits:
    """Those that are not over."""

    def __init__(self, desk: Desk, seconds: float = SECONDS) -> None:
        """An address is good for so many `seconds`."""
        self._desk = desk
        self._seconds = seconds
        self.url_of_runtime: Callable[[], str] = str
        """This runtime's, as browsers reach it; one that others can listen to or change is not used."""
        self._open: dict[str, Visit] = {}

    @property
    def base(self) -> str:
        """Scheme and place; empty where nobody can be sent there safely."""
        url = self.url_of_runtime()
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" if is_safe_url(url) else ""

    def url(self, visit: Visit) -> str:
        """Where the user goes."""
        return f"{self.base}{PAGE}{visit.id}"

    def offer(self, needed: LoginNeededError, principal: Principal, told: Told) -> Visit | None:
        """One for the user of a call; `None` where the user has to log in otherwise."""
        try:
            demand(principal, Action.LOGINS)
            demand_call(principal, needed.server, None)
        except ForbiddenError:
            return None
        if not self.base or not self._desk.is_by_browser(needed.server):
            return None
        self._forget_old()
        own = [visit for visit in self._open.values() if visit.principal == principal]
        for visit in own[: max(0, len(own) - MOST_EACH + 1)]:
            del self._open[visit.id]
        if len(self._open) >= MOST:
            return None
        visit = Visit(needed.server, principal, needed.scopes, told, ends_at=time.monotonic() + self._seconds)
        self._open[visit.id] = visit
        return visit

    def find(self, name: object) -> Visit | None:
        """The visit of an id, until it is over."""
        self._forget_old()
        return self._open.get(name) if isinstance(name, str) else None

    async def begin(self, visit: Visit) -> str:
        """The address of the authorization server, for the user of the visit.

        Raises:
            LoginError: it has begun already, or cannot.
            VaultError: the login before cannot be read.
        """
        if visit.has_begun:
            raise LoginError("This address has been used. Have your client make the call again.")
        visit.has_begun = True
        try:
            begun = await self._desk.begin(
                visit.server,
                visit.principal.user,
                by=str(visit.principal),
                redirect_uri=f"{self.base}{CALLBACK}",
                scopes=visit.scopes,
            )
        except (MuxiError, anyio.get_cancelled_exc_class()):
            await self._end(visit)
            raise
        visit.attempt = begun.id
        return begun.url

    async def finish(self, attempt: str, returned: Returned) -> Visit:
        """The user is back.

        Raises:
            LoginError: not from a visit, or not with an answer to it.
            VaultError: the login cannot be kept.
        """
        self._forget_old()
        visit = next((one for one in self._open.values() if attempt and one.attempt == attempt), None)
        if visit is None:
            raise LoginError("No login has begun in this browser, or it took too long.")
        del self._open[visit.id]
        try:
            await self._desk.finish(attempt, returned, by=str(visit.principal))
            visit.is_done = True
        finally:
            await self._end(visit)
        return visit

    async def _end(self, visit: Visit) -> None:
        self._open.pop(visit.id, None)
        visit.over.set()
        if visit.is_done:
            await visit.told(visit)

    def _forget_old(self) -> None:
        now = time.monotonic()
        for visit in [one for one in self._open.values() if one.ends_at < now]:
            del self._open[visit.id]
            visit.over.set()
