"""An MCP client as a `Caller`: how it is asked a question, in either era.

Legacy: the server sends an elicitation request in mid-call and waits. Modern: the call is answered with the question
and a sealed handle; the client comes back with both, and the call begins anew, this time with the answer at hand. The
SDK's boundary binds the handle to the principal, the tool and the arguments; `PendingQuestions` lets it count once.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ConfigDict, ValidationError

from muxi_runtime.errors import ForwardedError
from muxi_runtime.gateway.approval_form import elicitation, read_answer
from muxi_runtime.gateway.caller import ASKABLE, Answer, Inputs, Question
from muxi_runtime.gateway.held import HELD
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.request_facts import server_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.context import ServerRequestContext
    from mcp.server.session import ServerSession

    from muxi_runtime.gateway.held import HeldCall
    from muxi_runtime.identity.principal import Principal

__all__ = ["LEGACY_LEVEL", "AnswerNeededError", "McpCaller", "PendingQuestions", "is_wanted"]

QUESTION = "muxi-approval"
LOGIN = "muxi-login"
MAX_PENDING = 10_000
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
LEGACY_LEVEL = "info"
"""Of a legacy client that has set none: its era leaves it to the server, a modern server wants to be told."""


class AnswerNeededError(Exception):  # not a failure: the door lets it through to the front
    """The modern era's way to ask: answer the request with this result."""

    def __init__(self, requests: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        super().__init__("the caller must come back with an answer")
        self.result: dict[str, Any] = {"resultType": "input_required"}
        if requests:
            self.result["inputRequests"] = dict(requests)
        if state:
            self.result["requestState"] = json.dumps(state)


class PendingQuestions:
    """Questions put to modern clients and not answered yet; each counts once, until it expires."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._open: dict[str, tuple[str, str, float]] = {}

    def boundary(self) -> RequestStateBoundary:
        """Middleware that seals handles and refuses those of another principal, tool or argument set."""
        security = RequestStateSecurity(
            keys=[secrets.token_bytes(32)],
            ttl=self.seconds,
            # The path too: at `/mcp/<server>` the same name is another server's.
            bind_principal=lambda ctx: f"{principal_of(ctx.request)} at {server_of(ctx.request) or 'all'}",
        )
        return RequestStateBoundary(security, default_audience="muxi-runtime")

    def put(self, mark: str, approval: str) -> str:
        """Remember what is asked, and for which approval; the handle for the client.

        Where too many are open the oldest counts no more: its client is asked anew.
        """
        now = time.monotonic()
        if len(self._open) >= MAX_PENDING:
            self._open = {k: v for k, v in self._open.items() if v[2] > now}
        while len(self._open) >= MAX_PENDING:
            del self._open[next(iter(self._open))]
        nonce = secrets.token_hex(16)
        self._open[nonce] = (mark, approval, now + self.seconds)
        return nonce

    def approval(self, nonce: object) -> str:
        """The approval that a handle is for; empty if it counts for none."""
        _, approval, expires = self._open.get(nonce, _NOTHING) if isinstance(nonce, str) else _NOTHING
        return approval if time.monotonic() < expires else ""

    def take(self, nonce: object, mark: str) -> str:
        """The approval of a handle that is for exactly this and was not used before; it is used up."""
        approval = self.approval(nonce)
        asked, _, _ = self._open.pop(nonce, _NOTHING) if isinstance(nonce, str) else _NOTHING
        return approval if asked == mark else ""


_NOTHING = ("", "", 0.0)


class McpCaller:
    """The client behind one request; behind the next one too, where a call is held."""

    def __init__(
        self, ctx: ServerRequestContext[Any, Any], pending: PendingQuestions, *, log_level: str | None = None
    ) -> None:
        """`log_level` is what a legacy session has set; a modern request says its own."""
        self._pending = pending
        self._legacy_level = log_level or LEGACY_LEVEL
        self._approved: tuple[str, str] | None = None
        self._away = False
        self.held: HeldCall | None = None
        self.come_back(ctx)
        self.inputs = Inputs(self._responses(), self._state.get("server"))

    def come_back(self, ctx: ServerRequestContext[Any, Any]) -> None:
        """The same client with its next request: what it is told goes there."""
        self._ctx = ctx
        self._params: Mapping[str, Any] = ctx.params or {}
        self._meta: Mapping[str, Any] = self._params.get("_meta") or {}
        self._state = _opened(self._params.get("requestState"))
        self._away = False

    def leave(self) -> None:
        """It has got an answer, and cannot be told anything until it comes back."""
        self._away = True

    @property
    def handle(self) -> str | None:
        """Of the held call that it comes back to."""
        return self._state.get(HELD)

    @property
    def brought(self) -> Mapping[str, Any]:
        """The answers that it brought, by key."""
        return self._responses()

    def _responses(self) -> dict[str, Any]:
        given = self._params.get("inputResponses")
        return (
            {key: value for key, value in given.items() if key not in {QUESTION, LOGIN}}
            if isinstance(given, dict)
            else {}
        )

    @property
    def is_modern(self) -> bool:
        """Whether it speaks 2026-07-28 or later."""
        return self._ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def may_be_held(self) -> bool:
        """Whether it can be asked by way of coming back."""
        return self.is_modern and bool(self.capabilities.keys() & set(ASKABLE.values()))

    @property
    def principal(self) -> Principal:
        """Who the HTTP layer found."""
        return principal_of(self._ctx.request)

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """As declared, unknown fields too where the era has them in each request."""
        if self.is_modern:
            declared = self._meta.get(types.CLIENT_CAPABILITIES_META_KEY)
            return declared if isinstance(declared, dict) else {}
        able = self._ctx.session.client_capabilities
        return able.model_dump(mode="json", by_alias=True, exclude_none=True) if able is not None else {}

    @property
    def log_level(self) -> str | None:
        """A modern client asks in each request; a legacy one gets all above a level."""
        if self.is_modern:
            level = self._meta.get(types.LOG_LEVEL_META_KEY)
            return level if isinstance(level, str) else None
        return self._legacy_level

    @property
    def wants_progress(self) -> bool:
        """Whether the request carries a token for it."""
        return "progressToken" in self._meta

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Forward it on the request's own stream."""
        if not self._away:
            await self._ctx.session.report_progress(progress, total, message)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Forward it on the request's own stream, a log message only from the level on that was asked for."""
        if self._away or (method == "notifications/message" and not is_wanted(params.get("level"), self.log_level)):
            return
        note: Any = _Message(method=method, params=dict(params))
        await self._ctx.session.send_notification(note, related_request_id=self._ctx.request_id)

    async def ask(self, question: Question) -> Answer | None:
        """See the module's docstring.

        Raises:
            AnswerNeededError: a modern client that has not been asked yet.
        """
        if self.capabilities.get("elicitation") is None:
            return None
        return self._answer_at_hand(question) if self.is_modern else await self._elicit(question)

    @property
    def asked(self) -> str:
        """See `Caller.asked`; of a modern client."""
        return self._pending.approval(self._state.get("question"))

    @property
    def brought_answer(self) -> bool:
        """See `Caller.brought_answer`."""
        given = self._params.get("inputResponses")
        return isinstance(given, dict) and QUESTION in given

    @property
    def login(self) -> str:
        """The visit that it was sent to, and comes back from; empty if it was sent to none."""
        visit = self._state.get("login")
        return visit if isinstance(visit, str) else ""

    @property
    def login_answer(self) -> str:
        """What its user said to going there; coming back without a word is to see how it stands."""
        given = self._params.get("inputResponses")
        answer = given.get(LOGIN) if isinstance(given, dict) else None
        return str(answer.get("action")) if isinstance(answer, dict) else "accept"

    def sent_to_log_in(self, request: Mapping[str, Any], visit: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What to answer a modern client with, for it to come back from a visit: see `AnswerNeededError`.

        What it was permitted before goes along, so that its user is not asked for it again.
        """
        kept = {"login": visit}
        if self._approved is not None:
            kept["approved"] = self._pending.put(*self._approved)
        return {LOGIN: request}, kept

    @property
    def session(self) -> ServerSession:
        """The session that the request is of."""
        return self._ctx.session

    def permitted(self, mark: str, approval: str) -> None:
        """See `Caller.permitted`."""
        self._approved = (mark, approval)

    def resumes(self, mark: str) -> str:
        """See `Caller.resumes`."""
        return self._pending.take(self._state.get("approved"), mark)

    def _answer_at_hand(self, question: Question) -> Answer:
        if self.brought_answer and self._pending.take(self._state.get("question"), question.mark) == question.approval:
            return read_answer(self._params["inputResponses"][QUESTION], question.scopes)
        handle = self._pending.put(question.mark, question.approval)
        raise AnswerNeededError({QUESTION: elicitation(question)}, {"question": handle})

    async def _elicit(self, question: Question) -> Answer | None:
        asked = elicitation(question)
        try:
            result = await self._send(asked["method"], asked["params"])
        except NoBackChannelError:
            return None
        except ForwardedError as error:
            return Answer(allowed=False, detail=f"the client could not ask: {error}", by_person=False)
        return read_answer(result, question.scopes)

    def hand_over(self, requests: Mapping[str, Any], state: str | None) -> bool:
        """A modern client is answered with a modern server's questions; the server's state goes along, sealed.

        Raises:
            AnswerNeededError: always, for a modern client.
        """
        if not self.is_modern:
            return False
        kept = {"server": state} if state is not None else {}
        if self._approved is not None:
            kept["approved"] = self._pending.put(*self._approved)
        raise AnswerNeededError(requests, kept)

    async def answers(self, requests: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """See `Caller.answers`."""
        for asked in requests.values():
            if ASKABLE.get(asked["method"]) not in self.capabilities:
                raise ForwardedError(f"The client does not support {asked['method']}.", code=types.METHOD_NOT_FOUND)
        if self.held is not None:
            return await self.held.answers(requests)
        found: dict[str, Any] = {}

        async def fetch(key: str, method: str, params: Mapping[str, Any] | None) -> None:
            found[key] = await self._send(method, params)

        try:
            async with anyio.create_task_group() as group:
                for key, asked in requests.items():
                    group.start_soon(fetch, key, asked["method"], asked.get("params"))
        except ExceptionGroup as errors:  # not except*: what is raised in it is a group again on some versions of 3.11
            refused, other = errors.split(ForwardedError)
            if refused is None or other is not None:
                raise
            raise refused.exceptions[0] from None
        return found

    async def _send(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Ask a legacy client in mid-call.

        Raises:
            ForwardedError: it refused, could not be asked, or took too long.
        """
        request: Any = _Message(method=method, params=dict(params or {}))
        metadata = ServerMessageMetadata(related_request_id=self._ctx.request_id)
        try:
            with anyio.fail_after(self._pending.seconds):
                result = await self._ctx.session.send_request(request, _Anything, metadata=metadata)
        except TimeoutError:
            message = f"nobody answered within {self._pending.seconds:g} s"
            raise ForwardedError(message, code=types.REQUEST_TIMEOUT) from None
        except NoBackChannelError:
            raise
        except MCPError as error:
            raise ForwardedError(str(error), code=error.code, data=error.data) from error
        except ValidationError as error:
            raise ForwardedError("the client's answer is none of MCP", code=types.INVALID_PARAMS) from error
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)


class _Message(BaseModel):
    """A request or notification to the client, with every field that the server sent."""

    method: str
    params: dict[str, Any]


class _Anything(types.Result):
    """The client's answer, with every field that it sent."""

    model_config = ConfigDict(extra="allow")


def _opened(state: object) -> Mapping[str, Any]:
    """What the boundary unsealed: ours, as JSON."""
    if not isinstance(state, str):
        return {}
    try:
        opened = json.loads(state)
    except ValueError:
        return {}
    return opened if isinstance(opened, dict) else {}


def is_wanted(level: object, wanted: str | None) -> bool:
    """Whether a client that asked for messages from the level `wanted` on is told one of this `level`."""
    return wanted in LEVELS and level in LEVELS and LEVELS.index(str(level)) >= LEVELS.index(wanted)
