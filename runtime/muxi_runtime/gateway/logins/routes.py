"""Logins over HTTP, for the command line: `/control/logins`.

| request | what it does |
| --- | --- |
| `POST /control/logins` | begin one: `{"server": "far", "redirect_uri": "http://127.0.0.1:PORT/callback"}` |
| `POST /control/logins/ID` | finish it with what the browser brought back: `state`, `code`, `iss`, `error` |
| `DELETE /control/servers/NAME/login` | forget one's own; with `?user=`, another's |

An attempt can be finished by the caller that began it, with the same key. There is no address here that a browser
comes back to: it comes back to the caller, on a loopback port of the caller's own machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import anyio
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime.catalog.remote_oauth import Scope
from muxi_runtime.errors import ForbiddenError, LoginError, MuxiError, RefusedError
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.logins.flow import Returned
from muxi_runtime.identity.access import demand, demand_call
from muxi_runtime.identity.roles import Action
from muxi_runtime.identity.users import check_user

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from muxi_runtime.gateway.logins.desk import LoginDesk
    from muxi_runtime.identity.principal import Principal

__all__ = ["LoginRoutes"]

JSON = "application/json"
MAX_BODY_BYTES = 32768
SECONDS = 28
"""Whoever asks waits for 30."""
LOOPBACK = {"127.0.0.1", "::1"}


def _checked_redirect(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK or not parts.port or parts.query or parts.fragment:
        raise ValueError("must be http on a port of 127.0.0.1 or [::1]")
    return uri


class _Wish(BaseModel):
    """The body of a beginning."""

    model_config = ConfigDict(extra="forbid", strict=True)

    server: str = Field(max_length=64)
    redirect_uri: Annotated[str, Field(max_length=200), AfterValidator(_checked_redirect)]
    user: str | None = Field(None, max_length=64)
    scopes: list[Scope] = Field(default_factory=list, max_length=50)


class _Return(BaseModel):
    """The body of an end."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    state: str = Field("", max_length=500)
    code: str = Field("", max_length=8192, repr=False)
    iss: str | None = Field(None, max_length=2000)
    error: str = Field("", max_length=200)


class LoginRoutes:
    """The routes and what they tell."""

    def __init__(self, desk: LoginDesk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/control/logins", _told(self._begin), methods=["POST"]),
            Route("/control/logins/{login}", _told(self._finish), methods=["POST"]),
            Route("/control/servers/{server}/login", _told(self._logout), methods=["DELETE"]),
        ]

    async def _begin(self, request: Request) -> Response:
        wish = await _body(request, _Wish)
        principal = principal_of(request)
        user = _whose(principal, wish.user, wish.server)
        begun = await self._desk.begin(
            wish.server, user, by=str(principal), redirect_uri=wish.redirect_uri, scopes=wish.scopes
        )
        told = {"login": begun.id, "url": begun.url, "server": wish.server, "user": user}
        return JSONResponse({**told, "issuer": begun.issuer, "scopes": list(begun.scopes)})

    async def _finish(self, request: Request) -> Response:
        sent = await _body(request, _Return)
        returned = Returned(sent.state, sent.code, sent.iss, sent.error)
        attempt, by = request.path_params["login"], str(principal_of(request))
        server, user, login = await self._desk.finish(attempt, returned, by=by)
        told: dict[str, Any] = {"server": server, "user": user, "issuer": login.issuer, "scopes": list(login.scopes)}
        return JSONResponse({**told, "expires_at": login.expires_at, "renews": login.refresh_token is not None})

    async def _logout(self, request: Request) -> Response:
        principal = principal_of(request)
        server = request.path_params["server"]
        user = _whose(principal, request.query_params.get("user"), server)
        was_in = await self._desk.logout(server, user, by=str(principal))
        return JSONResponse({"server": server, "user": user, "was_in": was_in})


def _whose(principal: Principal, named: str | None, server: str) -> str:
    """One's own; another's for who may change the runtime.

    Raises:
        ForbiddenError: the caller may not.
        RefusedError: that is no user's name.
    """
    if named is None or named == principal.user:
        demand_call(principal, server, None)  # a key that may not use the server has no business with its login
        return principal.user
    demand(principal, Action.SERVERS)
    try:
        check_user(named)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return named


async def _body(request: Request, model: type[Any]) -> Any:  # noqa: ANN401 - the model's own
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        # A page of another site can send other types without being asked.
        raise RefusedError(f"Send it as {JSON}.")
    body = await request.body()
    try:
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(f"At most {MAX_BODY_BYTES} bytes are taken.")
        return model.model_validate_json(body)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)
        )
        raise RefusedError(f"That is no login: {wrong[:500]}") from None


def _told(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint, its refusals told by status."""

    async def wrapped(request: Request) -> Response:
        try:
            with anyio.fail_after(SECONDS):
                return await endpoint(request)
        except TimeoutError:
            return _refusal("failed", f"It took longer than {SECONDS} s to ask the servers. Try again.", 503)
        except ForbiddenError as error:
            return _refusal("forbidden", str(error), 403)
        except (RefusedError, LoginError) as error:
            return _refusal("refused", str(error), 409)
        except MuxiError as error:
            return _refusal("failed", str(error), 503)

    return wrapped


def _refusal(code: str, text: str, status: int) -> Response:
    return JSONResponse({"error": code, "error_description": text}, status)
