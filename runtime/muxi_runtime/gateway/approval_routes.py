"""Approvals over HTTP: `/control/approvals`, seen and answered by whoever may (`approvals.may_see`, `may_answer`).

| request | what it does |
| --- | --- |
| `GET /control/approvals` | what waits and what is allowed; with `?ended=true`, all that is known |
| `GET /control/approvals/ID` | one |
| `POST /control/approvals/ID` | `{"allow": true, "for": "once"}` or `{"allow": false, "reason": "..."}` |
| `DELETE /control/approvals/ID` | take back what was allowed |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime.errors import ForbiddenError, RefusedError, UnknownApprovalError
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.json_limits import printable
from muxi_runtime.policy.approvals import Scope, means

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from muxi_runtime.policy.approval_desk import Approvals
    from muxi_runtime.policy.approvals import Approval

__all__ = ["ApprovalRoutes"]

JSON = "application/json"
MAX_REASON = 300
MAX_BODY_BYTES = 4096


class _Answer(BaseModel):
    """The body of an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    allow: bool
    scope: Literal["once", "task", "hour"] = Field("once", alias="for")
    reason: str = Field("", max_length=MAX_REASON)


class ApprovalRoutes:
    """The routes and what they tell."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def routes(self) -> list[Route]:
        """For the application."""
        one = "/control/approvals/{approval}"
        return [
            Route("/control/approvals", _told(self._list)),
            Route(one, _told(self._show)),
            Route(one, _told(self._answer), methods=["POST"]),
            Route(one, _told(self._revoke), methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> Response:
        ended = request.query_params.get("ended") == "true"
        found = await self._approvals.of(principal_of(request), ended=ended)
        return JSONResponse({"approvals": [_document(approval) for approval in found]})

    async def _show(self, request: Request) -> Response:
        return JSONResponse(_document(await self._approvals.named(*_asked(request))))

    async def _answer(self, request: Request) -> Response:
        # A page of another site can send a form, but not this type without asking first.
        if request.headers.get("content-type", "").partition(";")[0].strip() != JSON:
            return _refusal("not_json", f"Send the answer as {JSON}.", 415)
        body = await request.body()
        if len(body) > MAX_BODY_BYTES:
            return _refusal("too_large", f"An answer has at most {MAX_BODY_BYTES} bytes.", 413)
        try:
            answer = _Answer.model_validate_json(body)
        except ValidationError:
            text = 'Send {"allow": true, "for": "once" or "task" or "hour"} or {"allow": false, "reason": "..."}.'
            return _refusal("bad_answer", text, 400)
        approval, principal = _asked(request)
        answered = await self._approvals.answer(
            approval,
            principal,
            allow=answer.allow,
            scope=Scope(answer.scope),
            how="control",
            note=printable(answer.reason, MAX_REASON),
        )
        return JSONResponse(_document(answered))

    async def _revoke(self, request: Request) -> Response:
        return JSONResponse(_document(await self._approvals.revoke(*_asked(request))))


def _told(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint, its refusals told by status."""

    async def wrapped(request: Request) -> Response:
        try:
            return await endpoint(request)
        except UnknownApprovalError as error:
            return _refusal("unknown_approval", str(error), 404)
        except ForbiddenError as error:
            return _refusal("forbidden", str(error), 403)
        except RefusedError as error:
            return _refusal("refused", str(error), 409)

    return wrapped


def _asked(request: Request) -> tuple[str, Any]:
    return request.path_params["approval"], principal_of(request)


def _refusal(code: str, text: str, status: int) -> Response:
    return JSONResponse({"error": code, "error_description": text}, status)


def _document(approval: Approval) -> dict[str, Any]:
    wanted = approval.wanted
    return {
        "approval": approval.id,
        "state": approval.state,
        "kind": wanted.kind,
        "title": wanted.title,
        "server": wanted.server,
        "tool": wanted.tool,
        "arguments": wanted.shown,
        "principal": str(wanted.principal),
        "task": wanted.task or None,
        "rules": list(wanted.rules),
        "reason": wanted.reason,
        "pin": wanted.pin,
        "fingerprint": wanted.fingerprint,
        "created_at": approval.created_at,
        "expires_at": approval.expires_at,
        "scope": approval.scope,
        "means": means(approval.scope, wanted.kind) if approval.scope else None,
        "answered_at": approval.answered_at,
        "answered_by": approval.answered_by or None,
        "how": approval.how or None,
        "note": approval.note or None,
    }
