"""Questions back to the client, in the words of either era."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict

REQUESTS: dict[str, type[Any]] = {
    "elicitation/create": types.ElicitRequest,
    "sampling/createMessage": types.CreateMessageRequest,
    "roots/list": types.ListRootsRequest,
}


class Anything(types.Result):
    """A client's answer with all its fields."""

    model_config = ConfigDict(extra="allow")


class InputNeededError(Exception):
    """The modern way: the request is answered with the questions, and made again with the answers."""

    def __init__(self, questions: dict[str, Any], state: str | None) -> None:
        super().__init__("answers are needed")
        requests = {key: REQUESTS[value["method"]].model_validate(value) for key, value in questions.items()}
        self.result = types.InputRequiredResult(input_requests=requests, request_state=state)


def is_modern(ctx: Any) -> bool:
    """Whether the request is of 2026-07-28."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def given(params: Any) -> dict[str, Any]:
    """The answers that the request brought, as JSON by key."""
    return {
        key: value.model_dump(mode="json", by_alias=True, exclude_none=True)
        for key, value in (params.input_responses or {}).items()
    }


async def ask(ctx: Any, params: Any, questions: dict[str, Any], state: str | None = None) -> dict[str, Any]:
    """The answers to all the questions, by key.

    Raises:
        InputNeededError: a modern client has to come back with them.
    """
    if is_modern(ctx):
        answers = given(params)
        if questions.keys() <= answers.keys() and params.request_state == state:
            return answers
        raise InputNeededError(questions, state)
    answers = {}

    async def push(key: str, question: dict[str, Any]) -> None:
        request = REQUESTS[question["method"]].model_validate(question)
        metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
        result = await ctx.session.send_request(request, Anything, metadata=metadata)
        answers[key] = result.model_dump(mode="json", by_alias=True, exclude_none=True)

    try:
        async with anyio.create_task_group() as group:
            for key, question in questions.items():
                group.start_soon(push, key, question)
    except ExceptionGroup as errors:
        refused, other = errors.split(MCPError)
        if refused is None or other is not None:
            raise
        raise refused.exceptions[0] from errors
    return answers
