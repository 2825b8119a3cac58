"""The HTTP face: `/mcp`, `/mcp/<server>`, `/control/...` and `/health`, behind the checks of Host, Origin and key."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime.gateway.direct_calls import METHOD, DirectCalls
from muxi_runtime.gateway.direct_lists import DirectLists
from muxi_runtime.gateway.http_auth import KeyBackend, refuse_unauthenticated
from muxi_runtime.gateway.known_heads import SHORT_WAY, facts_of
from muxi_runtime.gateway.plain_requests import may_be_plain
from muxi_runtime.gateway.protected_resource import metadata_routes
from muxi_runtime.gateway.rate_limits import AddressRate, CallerRate
from muxi_runtime.gateway.request_facts import ASKED_SERVER, SESSION_HEADER
from muxi_runtime.gateway.resumption import ResumableSessions
from muxi_runtime.gateway.route_access import Guard, guarded
from muxi_runtime.gateway.session_calls import SessionCalls
from muxi_runtime.gateway.short_way import ShortWay
from muxi_runtime.gateway.tool_search import MODES, PARAMETER
from muxi_runtime.identity.roles import Action

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from muxi_runtime.gateway.answer_stream import AnswerStreams
    from muxi_runtime.gateway.front import Front
    from muxi_runtime.gateway.rate_limits import RateLimits
    from muxi_runtime.gateway.settings import GatewaySettings
    from muxi_runtime.identity.oauth.settings import OAuthSettings

__all__ = ["Checks", "build_app", "build_session_manager"]

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
CALLS = "/mcp"
SUCCESS = range(200, 300)


def build_session_manager(front: Front, settings: GatewaySettings) -> ResumableSessions:
    """The SDK's sessions of both eras; its `run()` must surround the serving."""
    return ResumableSessions(
        app=front.server,
        max_request_body_size=settings.max_body_bytes,
        session_idle_timeout=settings.idle_task_seconds,
    )


@dataclass(frozen=True, slots=True)
class Checks:
    """What every request passes.

    Attributes:
        keys: tells who it is.
        limits: how often they may come.
        oauth: whose access tokens are taken beside keys.
    """

    keys: KeyBackend
    limits: RateLimits
    oauth: OAuthSettings | None = None


def build_app(
    *,
    manager: ResumableSessions,
    front: Front,
    answers: AnswerStreams,
    checks: Checks,
    control: Sequence[Route],
    settings: GatewaySettings,
    on_session_end: Callable[[str], Awaitable[None]],
    is_server: Callable[[str], bool],
) -> ASGIApp:
    """The application. Checks run outermost first: Host and Origin, the key, then what the route needs."""
    sessions = SessionCalls(SessionEnds(StreamableHTTPASGIApp(manager), on_session_end), front, manager)
    direct = DirectCalls(sessions, front, answers)
    mcp = KnownModeOnly(DirectLists(direct, front))
    keys, callers = checks.keys, {"*": Action.CALL}
    calls = Guard(mcp, keys.journal, keys.challenge, callers)
    routes = [
        Route(CALLS, calls),
        Route("/mcp/{server}", Guard(KnownServerOnly(mcp, is_server), keys.journal, keys.challenge, callers)),
        *guarded(control, keys.journal, keys.challenge),
        *(metadata_routes(checks.oauth) if checks.oauth else ()),
    ]
    short = ShortWay(direct, checks.limits, keys, calls, settings.max_body_bytes)
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(AddressGuard, settings=address_rules(settings)),
            Middleware(AddressRate, limits=checks.limits),
            Middleware(BodyLimit, limit=settings.max_body_bytes),
            Middleware(AuthenticationMiddleware, backend=keys, on_error=refuse_unauthenticated),
            Middleware(CallerRate, limits=checks.limits),
            Middleware(CallsFirst, calls=calls, short=short),
        ],
    )
    short.long = app
    return app


def address_rules(settings: GatewaySettings) -> TransportSecuritySettings:
    """Which `Host` and `Origin` headers are taken: a page of another site must not reach a loopback port."""
    bound = f"[{settings.host}]" if ":" in settings.host else settings.host
    hosts = [*LOOPBACK_HOSTS, bound, *settings.allowed_hosts]
    return TransportSecuritySettings(
        allowed_hosts=[*hosts, *(f"{host}:*" for host in hosts)],
        allowed_origins=[
            *(f"http://{host}" for host in LOOPBACK_HOSTS),
            *(f"http://{host}:*" for host in LOOPBACK_HOSTS),
            *settings.allowed_origins,
        ],
    )


class CallsFirst:
    """The path that nearly all requests have, before all routes are looked through; it is one of those, too.

    Requests whose head may be a plain call's go the short way from the next one on.
    """

    def __init__(self, app: ASGIApp, calls: ASGIApp, short: ShortWay) -> None:
        self._app = app
        self._calls = calls
        self._short = short

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == "http" and scope["path"] == CALLS
        if is_call and not scope["query_string"] and may_be_plain(Request(scope), METHOD):
            facts_of(scope)[SHORT_WAY] = self._short
        await (self._calls if is_call else self._app)(scope, receive, send)


class AddressGuard:
    """Refuses requests that were meant for, or come from, another site (DNS rebinding)."""

    def __init__(self, app: ASGIApp, settings: TransportSecuritySettings) -> None:
        self._app = app
        self._security = TransportSecurityMiddleware(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (facts := facts_of(scope)).get(AddressGuard):
            refusal = await self._security.validate_request(Request(scope))
            facts[AddressGuard] = refusal is None
            if refusal is not None:
                text = (
                    "This address is not one that the runtime answers to. "
                    "Add it to gateway.allowed_hosts or gateway.allowed_origins in muxi.yaml if it should."
                )
                await JSONResponse({"error": "misdirected", "error_description": text}, refusal.status_code)(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body that says beforehand that it is too large; the SDK cuts off one that does not say."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = next((value for name, value in scope.get("headers", ()) if name == b"content-length"), b"")
        if length.isdigit() and int(length) > self._limit:
            text = (
                f"The body has {int(length)} bytes; at most {self._limit} are taken. Send less at a time, for instance "
                "a file in parts, or raise gateway.max_body_bytes in muxi.yaml."
            )
            await JSONResponse({"error": "too_large", "error_description": text}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)(
                scope, receive, send
            )
            return
        await self._app(scope, receive, send)


class KnownServerOnly:
    """Answers 404 for the endpoint of a server that does not exist."""

    def __init__(self, app: ASGIApp, is_server: Callable[[str], bool]) -> None:
        self._app = app
        self._is_server = is_server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["server"]
        if self._is_server(name):
            asked = ASKED_SERVER.set(name)
            try:
                await self._app(scope, receive, send)
            finally:
                ASKED_SERVER.reset(asked)
            return
        text = f"There is no server {name[:80]!r}; /control/servers lists those there are."
        await JSONResponse({"error": "unknown_server", "error_description": text}, 404)(scope, receive, send)


class KnownModeOnly:
    """Answers 400 where the URL asks for a way of showing tools that does not exist."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Request(scope).query_params.getlist(PARAMETER) if scope["query_string"] else []
        if not asked or (len(asked) == 1 and asked[0] in MODES):
            await self._app(scope, receive, send)
            return
        text = f"{PARAMETER} in the URL must be one of: {', '.join(MODES)}; once."
        await JSONResponse({"error": "unknown_mode", "error_description": text}, 400)(scope, receive, send)


class SessionEnds:
    """Watches for legacy sessions that their clients close, so that the session's task can end with it."""

    def __init__(self, app: ASGIApp, on_end: Callable[[str], Awaitable[None]]) -> None:
        self._app = app
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "DELETE":
            await self._app(scope, receive, send)
            return
        accepted = False

        async def watch(message: Message) -> None:
            nonlocal accepted
            if message["type"] == "http.response.start":
                accepted = message["status"] in SUCCESS
            await send(message)

        await self._app(scope, receive, watch)
        session = Request(scope).headers.get(SESSION_HEADER)
        if accepted and session:
            await self._on_end(session)
