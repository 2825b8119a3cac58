"""What a browser sees of a login that a call asked for.

    GET  /login/ID     says who logs in where, and asks for a key where the user has one
    POST /login/ID     begins: on to the authorization server; the browser gets a cookie
    GET  /callback     back from there, with the cookie

Opening an address does nothing yet: programs that look at links open them, too. Who has a key has to give it, so that
an address that was made for one user does not lead another's account into that one's hands. The pages hold no script,
load nothing, and stand in no frame.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.authentication import AuthenticationError
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from muxi_runtime.errors import LoginError, MuxiError
from muxi_runtime.gateway.logins.flow import Returned
from muxi_runtime.gateway.logins.visits import CALLBACK, PAGE, SECONDS, Visit, Visits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from muxi_runtime.gateway.http_auth import KeyBackend

__all__ = ["LoginPages"]

COOKIE = "muxi_login"
FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 4096
LOOPBACK = frozenset({"127.0.0.1", "::1"})
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: a form's request would say that it comes from nowhere.
    "Referrer-Policy": "same-origin",
}
GONE = "This address is not good any more, or has been used. Have your client make the call again."


class LoginPages:
    """The routes."""

    def __init__(self, visits: Visits, keys: KeyBackend) -> None:
        self._visits = visits
        self._keys = keys

    def routes(self) -> list[Route]:
        """For the application. They are open: an address is known to whom it was given alone."""
        return [
            Route(PAGE + "{visit}", self._show, methods=["GET"]),
            Route(PAGE + "{visit}", self._begin, methods=["POST"]),
            Route(CALLBACK, self._finish, methods=["GET"]),
        ]

    async def _show(self, request: Request) -> Response:
        visit = self._visits.find(request.path_params["visit"])
        if visit is None or visit.has_begun:
            return _page("Nothing to log in to", GONE, 404)
        return _asking(visit)

    async def _begin(self, request: Request) -> Response:
        visit = self._visits.find(request.path_params["visit"])
        if visit is None or visit.has_begun:
            return _page("Nothing to log in to", GONE, 404)
        if request.headers.get("origin") != self._visits.base:
            return _page("Not begun", "This was asked for by another page. Open the address itself.", 403)
        try:
            wrong = await self._is_another(visit, request)
            if wrong:
                return _asking(visit, wrong, 403)
            url = await self._visits.begin(visit)
        except AuthenticationError as error:
            return _asking(visit, str(error), getattr(error, "status", 401))
        except MuxiError as error:
            return _page("Not begun", str(error), 409)
        answer = RedirectResponse(url, 303, headers=HEADERS)
        is_secure = self._visits.base.startswith("https:")
        answer.set_cookie(
            COOKIE, visit.attempt, max_age=SECONDS, path=CALLBACK, httponly=True, samesite="lax", secure=is_secure
        )
        return answer

    async def _is_another(self, visit: Visit, request: Request) -> str:
        """Why who sends this is not whom the login is for; empty if they are.

        Raises:
            AuthenticationError: the key is not good.
        """
        if not visit.needs_key:
            near = request.client is not None and request.client.host in LOOPBACK
            return "" if near else "This login can only be begun on the machine that the runtime is on."
        key = (await _form(request)).get("key", "").strip()
        if not key:
            return "Give a key of yours."
        principal = await self._keys.of_key(request, key)
        return "" if principal.user == visit.principal.user else "This login is for somebody else than this key is."

    async def _finish(self, request: Request) -> Response:
        given = {name: request.query_params.get(name, "") for name in ("state", "code", "error")}
        returned = Returned(given["state"], given["code"], request.query_params.get("iss"), given["error"][:200])
        try:
            if len(request.url.query) > 4 * MAX_BODY_BYTES:
                raise LoginError("What the browser brought back is too long.")
            visit = await self._visits.finish(request.cookies.get(COOKIE, ""), returned)
        except MuxiError as error:
            answer = _page("Not logged in", str(error), 409)
        else:
            answer = _page(
                "Logged in", f"{visit.principal.user} is logged in at {visit.server}. You can close this page."
            )
        answer.delete_cookie(COOKIE, path=CALLBACK)
        return answer


async def _form(request: Request) -> Mapping[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return {}
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return {}
    found = parse_qs(body.decode("latin-1"), max_num_fields=10)
    return {name: values[0] for name, values in found.items()}


def _asking(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    who, where = html.escape(visit.principal.user), html.escape(visit.server)
    field = (
        f'<p><label>A key of {who} for this runtime: <input name="key" type="password" autocomplete="off" required>'
        "</label></p>"
        if visit.needs_key
        else ""
    )
    text = (
        f"<p>A call of <b>{who}</b> wants a login at the server <b>{where}</b>. Go on only if you are {who}, and made"
        " the call: what you log in with is used for their calls.</p>"
    )
    note = f"<p><b>{html.escape(wrong)}</b></p>" if wrong else ""
    button = f'<form method="post">{field}<p><button>Log in at {where}</button></p></form>'
    return _html(f"Log in at {where}", text + note + button, status)


def _page(title: str, text: str, status: int = 200) -> Response:
    return _html(html.escape(title), f"<p>{html.escape(text)}</p>", status)


def _html(title: str, body: str, status: int) -> Response:
    style = "body{font:1rem/1.5 sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    return HTMLResponse(f"{head}<h1>{title}</h1>{body}</html>", status, headers=HEADERS)
