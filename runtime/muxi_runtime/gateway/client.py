"""A client of a running runtime, for the command line: one tool call over the same `/mcp` that everyone uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from muxi_runtime import __version__
from muxi_runtime.errors import (
    DeniedError,
    ForwardedError,
    IdentityError,
    InvalidArgumentsError,
    MuxiError,
    NotRunningError,
    RefusedError,
    ServerError,
    UnknownTaskError,
    UnknownToolError,
    sole_error,
)
from muxi_runtime.gateway.request_facts import TASK_HEADER
from muxi_runtime.gateway.wire_errors import DENIED, SANDBOX_FAILED, SERVER_FAILED
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mcp.client.session import ClientRequestContext
    from mcp.shared.dispatcher import ProgressFnT

__all__ = ["call_tool", "check_reachable", "http_client"]

CONNECT_SECONDS = 5
START = "`muxi-runtime up` starts it, `muxi-runtime status` shows it."

OnQuestion = Callable[[str, Sequence[str]], Awaitable[str | None]]
"""Asks a person: the question, and what a yes may be for; what it is for, or `None` for a no."""

_BY_KIND: dict[str, type[RefusedError]] = {
    "unknown_tool": UnknownToolError,
    "unknown_task": UnknownTaskError,
    "invalid_arguments": InvalidArgumentsError,
    "refused": RefusedError,
}


@asynccontextmanager
async def http_client(key: str | None, *, task: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client with the key; calls may last as long as the runtime lets them."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if task:
        headers[TASK_HEADER] = task
    timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
    # No proxy of the environment may come between a machine and itself, or see the key.
    async with httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as client:
        yield client


async def call_tool(
    url: str,
    key: str | None,
    name: str,
    arguments: Mapping[str, Any],
    *,
    task: str | None = None,
    on_progress: ProgressFnT | None = None,
    on_question: OnQuestion | None = None,
) -> dict[str, Any]:
    """Call SERVER__TOOL at the endpoint `url` (ending in `/mcp`); the result as JSON values.

    Raises:
        NotRunningError: nothing answers at the URL.
        IdentityError: the key is missing or wrong.
        RefusedError | ServerError | MuxiError: as the runtime said.
    """

    async def elicit(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        del context
        scopes = _scopes(params)
        chosen = await on_question(params.message, scopes) if on_question is not None else None
        content: dict[str, str | int | float | bool | list[str] | None] = {"allow": chosen is not None}
        return types.ElicitResult(action="accept", content={**content, **({"for": chosen} if chosen in scopes else {})})

    try:
        async with http_client(key, task=task) as http:
            await check_reachable(http, url)
            async with Client(
                streamable_http_client(url, http_client=http, max_sse_event_size=None),
                client_info=types.Implementation(name="muxi-runtime-cli", version=__version__),
                elicitation_callback=elicit if on_question else None,
            ) as client:
                result = await _call(client, name, arguments, on_progress)
    except BaseExceptionGroup as group:
        # The SDK's task groups wrap what passes through them.
        raise sole_error(group) or group from group
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


def _scopes(params: types.ElicitRequestParams) -> list[str]:
    """What the runtime's own question offers; a server's question has none of it."""
    schema = params.requested_schema if isinstance(params, types.ElicitRequestFormParams) else {}
    offered = (schema.get("properties") or {}).get("for") or {}
    return [str(scope) for scope in offered.get("enum") or ()]


async def _call(
    client: Client, name: str, arguments: Mapping[str, Any], on_progress: ProgressFnT | None
) -> types.CallToolResult:
    try:
        return await client.call_tool(name, dict(arguments), progress_callback=on_progress)
    except MCPError as error:
        raise _ours(error) from error
    except httpx2.HTTPError as error:
        raise NotRunningError(f"The runtime went away during the call: {error}", remedy=START) from error


async def check_reachable(http: httpx2.AsyncClient, url: str) -> None:
    """Find out beforehand what a failed MCP handshake would not tell.

    Raises:
        NotRunningError: nothing answers at the URL, or it is not the runtime.
        IdentityError: the key is missing or wrong.
    """
    try:
        answer = await http.get(httpx2.URL(url).join("/control/whoami"))
    except httpx2.HTTPError as error:
        raise NotRunningError(f"No runtime answers at {url}.", remedy=START) from error
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise IdentityError(str(answer.json().get("error_description", "The key is not accepted.")))
    if answer.status_code != HTTPStatus.OK:
        raise NotRunningError(f"What answers at {url} is not this runtime (HTTP {answer.status_code}).", remedy=START)


def _ours(error: MCPError) -> MuxiError | SandboxError:
    data = error.data if isinstance(error.data, dict) else {}
    if error.code == DENIED:
        return DeniedError(str(error), rule=str(data.get("rule", "")))
    if error.code == SANDBOX_FAILED:
        return SandboxError(str(error))
    if error.code == SERVER_FAILED:
        return ServerError(str(error))
    kind = _BY_KIND.get(str(data.get("kind")))
    return kind(str(error)) if kind else ForwardedError(str(error), code=error.code, data=error.data)
