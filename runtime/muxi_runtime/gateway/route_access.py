"""What each HTTP route needs of its caller: an `Action` of `identity.roles`. A route that is not named is refused.

Above: `http`, which puts every route behind `guard`. Below: `identity.access`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime.errors import ForbiddenError
from muxi_runtime.gateway.http_auth import Challenge, principal_in
from muxi_runtime.identity.access import demand
from muxi_runtime.identity.roles import Action
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from muxi_runtime.identity.principal import Principal
    from muxi_runtime.journal.contract import Journal

__all__ = ["OPEN", "ROUTES", "Guard", "guarded"]

OPEN = frozenset({"/health", "/login/{visit}", "/callback"})
"""What answers whoever asks: that the runtime lives, and the pages of a login, which look themselves who it is."""

_TASK = "/control/tasks/{task}"
_APPROVAL = "/control/approvals/{approval}"

ROUTES: Mapping[tuple[str, str], Action] = {
    ("GET", "/control/whoami"): Action.WHOAMI,
    ("GET", "/control/status"): Action.STATUS,
    ("GET", "/control/servers"): Action.SEE_TOOLS,
    ("PUT", "/control/servers"): Action.SERVERS,
    ("PUT", "/control/policy"): Action.POLICY,
    ("GET", "/control/servers/{server}/logs"): Action.OWN_TASKS,
    ("DELETE", "/control/servers/{server}/login"): Action.LOGINS,
    ("POST", "/control/logins"): Action.LOGINS,
    ("POST", "/control/logins/{login}"): Action.LOGINS,
    ("GET", "/control/tools"): Action.SEE_TOOLS,
    ("GET", "/control/approvals"): Action.APPROVALS,
    ("GET", _APPROVAL): Action.APPROVALS,
    ("POST", _APPROVAL): Action.APPROVALS,
    ("DELETE", _APPROVAL): Action.APPROVALS,
    ("GET", "/control/tasks"): Action.OWN_TASKS,
    ("GET", "/control/all-tasks"): Action.ALL_TASKS,
    ("DELETE", _TASK): Action.OWN_TASKS,
    ("DELETE", "/control/all-tasks/{task}"): Action.END_TASKS,
    ("PUT", f"{_TASK}/keep"): Action.OWN_TASKS,
    ("DELETE", f"{_TASK}/keep"): Action.OWN_TASKS,
    ("GET", _TASK): Action.OWN_TASKS,
    ("PUT", f"{_TASK}/labels/{{label}}"): Action.OWN_TASKS,
    ("DELETE", f"{_TASK}/labels/{{label}}"): Action.APPROVE,
    ("GET", f"{_TASK}/withheld"): Action.OWN_TASKS,
    ("GET", f"{_TASK}/withheld/{{name}}"): Action.APPROVE,
    ("GET", f"{_TASK}/files"): Action.OWN_TASKS,
    ("GET", f"{_TASK}/tar"): Action.OWN_TASKS,
    ("PUT", f"{_TASK}/tar"): Action.OWN_TASKS,
    ("POST", f"{_TASK}/snapshots"): Action.OWN_TASKS,
    ("POST", f"{_TASK}/restore/{{snapshot}}"): Action.OWN_TASKS,
    ("GET", "/control/snapshots"): Action.OWN_TASKS,
    ("GET", "/control/snapshots/{snapshot}/tar"): Action.OWN_TASKS,
    ("DELETE", "/control/snapshots/{snapshot}"): Action.OWN_TASKS,
}
"""Method and path to what they need. HEAD counts as GET."""


def guarded(routes: Sequence[Route], journal: Journal, challenge: Challenge) -> list[Route]:
    """The same routes, each behind what `ROUTES` says of it."""
    return [route if route.path in OPEN else _behind(route, journal, challenge) for route in routes]


def _behind(route: Route, journal: Journal, challenge: Challenge) -> Route:
    needs = {method: ROUTES.get(("GET" if method == "HEAD" else method, route.path)) for method in route.methods or ()}
    return Route(route.path, Guard(route.app, journal, challenge, needs), methods=list(needs))


class Guard:
    """Lets through whose role and scopes allow what the method needs; a method that needs nothing known is refused."""

    def __init__(
        self, app: ASGIApp, journal: Journal, challenge: Challenge, needs: Mapping[str, Action | None]
    ) -> None:
        """`needs` is by method; `*` is for those that are not named."""
        self._app = app
        self._journal = journal
        self._challenge = challenge
        self._needs = needs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 403."""
        refusal = await self.refusal(Request(scope), principal_in(scope))
        await (self._app if refusal is None else refusal)(scope, receive, send)

    async def refusal(self, request: Request, principal: Principal) -> Response | None:
        """The answer to a caller who may not; `None` for one who may."""
        try:
            _demand(principal, self._needs.get(request.method) or self._needs.get("*"))
        except ForbiddenError as error:
            return await self._refusal(request, principal, error)
        return None

    async def _refusal(self, request: Request, principal: Principal, error: ForbiddenError) -> Response:
        data = {"method": request.method, "path": request.url.path[:200], "message": str(error)[:500]}
        await self._journal.append(Draft("access.refused", principal=str(principal), data=data))
        body = {"error": "insufficient_scope" if error.scope else "forbidden", "error_description": str(error)}
        headers = self._challenge.headers("insufficient_scope", error.scope) if error.scope else None
        return JSONResponse(body, 403, headers=headers)


def _demand(principal: Principal, action: Action | None) -> None:
    if action is None:
        raise ForbiddenError("Nothing says who may use this address.", remedy="Use another one.")
    demand(principal, action)
