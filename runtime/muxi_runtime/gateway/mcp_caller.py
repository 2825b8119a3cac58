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
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from muxi_runtime.gateway.caller import Answer, Question
from muxi_runtime.gateway.http_auth import principal_of

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from muxi_runtime.identity.principal import Principal

__all__ = ["AnswerNeededError", "McpCaller", "PendingQuestions"]

QUESTION = "muxi-approval"
MAX_PENDING = 10_000
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "allow": {
            "type": "boolean",
            "title": "Allow this call",
            "description": "Once, with exactly these arguments.",
        }
    },
    "required": ["allow"],
}


class AnswerNeededError(Exception):  # not a failure: the door lets it through to the front
    """The modern era's way to ask: answer the request with this result."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("the caller must come back with an answer")
        self.result = result


class PendingQuestions:
    """Questions put to modern clients and not answered yet; each counts once, until it expires."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._open: dict[str, tuple[str, float]] = {}

    def boundary(self) -> RequestStateBoundary:
        """Middleware that seals handles and refuses those of another principal, tool or argument set."""
        security = RequestStateSecurity(
            keys=[secrets.token_bytes(32)],
            ttl=self.seconds,
            bind_principal=lambda ctx: str(principal_of(ctx.request)),
        )
        return RequestStateBoundary(security, default_audience="muxi-runtime")

    def put(self, question: Question) -> str:
        """Remember a question; the handle for the client."""
        now = time.monotonic()
        self._open = (
            {k: v for k, v in self._open.items() if v[1] > now} if len(self._open) >= MAX_PENDING else self._open
        )
        nonce = secrets.token_hex(16)
        self._open[nonce] = (question.fingerprint, now + self.seconds)
        return json.dumps({"question": nonce})

    def take(self, state: str, question: Question) -> bool:
        """Whether the handle is of this question and not used before; it is used up."""
        try:
            nonce = json.loads(state)["question"]
        except (ValueError, KeyError, TypeError):
            return False
        fingerprint, expires = self._open.pop(nonce, ("", 0.0)) if isinstance(nonce, str) else ("", 0.0)
        return fingerprint == question.fingerprint and time.monotonic() < expires


class McpCaller:
    """The client behind one request."""

    def __init__(
        self,
        ctx: ServerRequestContext[Any, Any],
        params: types.CallToolRequestParams,
        pending: PendingQuestions,
    ) -> None:
        self._ctx = ctx
        self._params = params
        self._pending = pending

    @property
    def principal(self) -> Principal:
        """Who the HTTP layer found."""
        return principal_of(self._ctx.request)

    @property
    def wants_progress(self) -> bool:
        """Whether the request carries a token for it."""
        return "progressToken" in ((self._ctx.params or {}).get("_meta") or {})

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Forward it on the request's own stream."""
        await self._ctx.session.report_progress(progress, total, message)

    async def ask(self, question: Question) -> Answer | None:
        """See the module's docstring.

        Raises:
            AnswerNeededError: a modern client that has not been asked yet.
        """
        capabilities = self._ctx.session.client_capabilities
        if capabilities is None or capabilities.elicitation is None:
            return None
        if self._ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return self._answer_at_hand(question)
        return await self._elicit(question)

    def _answer_at_hand(self, question: Question) -> Answer:
        response = (self._params.input_responses or {}).get(QUESTION)
        state = self._params.request_state
        if state is not None and self._pending.take(state, question):
            return _read(response if isinstance(response, types.ElicitResult) else None)
        request = types.ElicitRequest(
            params=types.ElicitRequestFormParams(message=question.text, requested_schema=SCHEMA)
        )
        raise AnswerNeededError(
            types.InputRequiredResult(input_requests={QUESTION: request}, request_state=self._pending.put(question))
        )

    async def _elicit(self, question: Question) -> Answer | None:
        try:
            with anyio.fail_after(self._pending.seconds):
                result = await self._ctx.session.elicit_form(question.text, SCHEMA, self._ctx.request_id)
        except TimeoutError:
            return Answer(allowed=False, detail=f"nobody answered within {self._pending.seconds:g} s")
        except NoBackChannelError:
            return None
        except MCPError as error:
            return Answer(allowed=False, detail=f"the client could not ask: {error}")
        return _read(result)


def _read(result: types.ElicitResult | None) -> Answer:
    if result is None:
        return Answer(allowed=False, detail="the answer could not be read")
    if result.action != "accept":
        return Answer(allowed=False, detail=f"the person chose to {result.action}")
    allowed = (result.content or {}).get("allow") is True
    return Answer(allowed=allowed, detail="allowed once" if allowed else "the person did not allow it")
