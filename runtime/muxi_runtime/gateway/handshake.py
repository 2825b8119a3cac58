"""Opens sessions with servers: shakes hands with what runs in a sandbox, and closes the session with the block.

Above: the pool, which opens one over each sandbox that it makes, `listing` and `app`. Below: `upstream.Upstream`, and
the SDK's client, whose errors become ours here.
"""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import mcp_types as types
from mcp import Client, MCPError

from muxi_runtime.errors import sole_error
from muxi_runtime.gateway.handshake_errors import handshake_failure
from muxi_runtime.gateway.sandbox_transport import SandboxTransport
from muxi_runtime.gateway.server_news import listen_for_news
from muxi_runtime.gateway.upstream import CLIENT_INFO, LISTEN_SECONDS, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from muxi_runtime.gateway.eras import Eras
    from muxi_sandbox.contract import Backend, Sandbox, Spec

__all__ = ["open_session", "open_upstream"]

CHANGES: dict[type[object], str] = {
    types.ToolListChangedNotification: "tools",
    types.PromptListChangedNotification: "prompts",
    types.ResourceListChangedNotification: "resources",
}


@asynccontextmanager
async def open_upstream(
    backend: Backend,
    spec: Spec,
    *,
    eras: Eras,
    handshake_seconds: float,
) -> AsyncIterator[Upstream]:
    """A sandbox made for this block, with its session. Enter and leave in one and the same task.

    Raises:
        SandboxError: no sandbox, or it ended before it answered.
        ServerError: the program inside did not speak MCP in time.
    """
    async with (
        backend.lease(spec) as lease,
        open_session(lease.sandbox, eras=eras, handshake_seconds=handshake_seconds) as upstream,
    ):
        yield upstream


@asynccontextmanager
async def open_session(
    sandbox: Sandbox, *, eras: Eras, handshake_seconds: float, adopted: bool = False
) -> AsyncIterator[Upstream]:
    """Shake hands with the server inside. Enter and leave in one and the same task.

    `adopted`: another session was there before this one, whose answers may still come.

    Raises:
        SandboxError: the sandbox ended before it answered.
        ServerError: the program inside did not speak MCP in time.
    """
    try:
        async with AsyncExitStack() as stack:
            transport = SandboxTransport(sandbox, mark=secrets.token_hex(4) if adopted else "")
            news = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(news.cancel_scope.cancel)
            upstream: Upstream

            async def on_message(message: object) -> None:
                kind = CHANGES.get(type(message))
                if kind is not None:
                    # Not awaited: the answer to a new list comes by way of whoever delivers this message.
                    news.start_soon(upstream.on_list_changed, kind)
                elif isinstance(message, types.ResourceUpdatedNotification):
                    upstream.watches.tell(str(message.params.uri))

            async def roots(context: object) -> types.ListRootsResult | types.ErrorData:
                return await (upstream.find_roots() if upstream.find_roots else _nobody_to_ask(context))

            client = Client(
                transport.connect(),
                cache=None,
                message_handler=on_message,
                read_timeout_seconds=handshake_seconds,
                client_info=types.Implementation.model_validate(CLIENT_INFO),
                # For the legacy handshake, before any caller is known: what a call asks goes past these, to its caller.
                elicitation_callback=_nobody_to_ask,
                sampling_callback=_nobody_to_ask,
                list_roots_callback=roots,
                **eras.options(sandbox.spec.server),
            )
            upstream = Upstream(sandbox, transport, client, eras)
            await _shake_hands(stack, client, transport, sandbox, eras)
            if upstream.is_modern:
                listens = anyio.Event()
                news.start_soon(listen_for_news, client, upstream, listens)
                with anyio.move_on_after(LISTEN_SECONDS):
                    await listens.wait()
            yield upstream
    except BaseExceptionGroup as group:
        # Task groups, the SDK's too, wrap whatever passes through them.
        raise sole_error(group) or group from group


async def _nobody_to_ask(context: object, params: object = None) -> types.ErrorData:
    """A question outside of a call, or in one whose caller cannot answer it."""
    del context, params
    return types.ErrorData(
        code=types.INVALID_REQUEST, message="No call is running whose client could answer this; ask during a call."
    )


async def _shake_hands(
    stack: AsyncExitStack, client: Client, transport: SandboxTransport, sandbox: Sandbox, eras: Eras
) -> None:
    server = sandbox.spec.server
    try:
        await stack.enter_async_context(client)
    except (MCPError, ValueError, BaseExceptionGroup) as error:
        reason = _handshake_error(error)
        if reason is None:
            raise
        eras.forget(server)
        raise transport.failure or handshake_failure(sandbox, reason) from error
    eras.remember(server, client.session.discover_result)


def _handshake_error(error: BaseException) -> BaseException | None:
    """What went wrong with the handshake: the SDK's task groups may wrap it. `None` where something else did, too."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    known, other = error.split((MCPError, ValueError))
    first: BaseException | None = known
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if other is None else None
