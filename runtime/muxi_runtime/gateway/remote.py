"""A server that is not in a sandbox: reached by the host over streamable HTTP, shown to what is above as frames.

Above: `upstream`, which speaks MCP over the frames of any `Sandbox`; `owner` and `listing`, which lease one of these
where the manifest has a `url`. Below: the SDK's HTTP client. Each lease is a session and a connection pool of its own:
no cookie and no session id of one task is sent for another. Nothing that a client sent to us, its key least of all, is
passed on but the message itself. The SDK follows redirects within the origin only.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.inbound import mcp_param_headers, x_mcp_header_map
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter

from muxi_runtime.errors import LoginNeededError, RemoteError, sole_error
from muxi_runtime.gateway.credentials import NoCredentials
from muxi_runtime.gateway.http_bounds import BoundedTransport
from muxi_runtime.gateway.http_stamps import Negotiated
from muxi_runtime.gateway.logins.challenge import challenge_in, is_for_tokens
from muxi_runtime.identity.oauth.settings import is_safe_url
from muxi_sandbox.contract import Lease
from muxi_sandbox.errors import LeaseExpiredError, OutputFloodError, SandboxError
from muxi_sandbox.pool.pool import Leased
from muxi_sandbox.stream import StreamSandbox

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams

    from muxi_runtime.gateway.credentials import Credentials
    from muxi_runtime.gateway.upstream import Upstream
    from muxi_runtime.identity.principal import Principal
    from muxi_sandbox.contract import LimitHit, Sandbox, Spec

__all__ = ["Remotes"]

CONNECT_SECONDS = 10
SILENT_SECONDS = 3600
"""How long nothing may come over an open stream. Calls have their own, shorter time."""
SESSION_HEADER = "mcp-session-id"
QUEUE = 16
"""Messages that wait to be sent."""

FindSchema = Callable[[str, str], Mapping[str, Any] | None]
OpenSession = Callable[["Sandbox"], AbstractAsyncContextManager["Upstream"]]


class Remotes:
    """Leases sessions with servers over HTTP, as `Pool.lease` does with those in sandboxes."""

    def __init__(
        self, find_schema: FindSchema, open_session: OpenSession, credentials: Credentials | None = None
    ) -> None:
        """`find_schema(server, tool)` is a tool's input schema: some arguments are repeated in headers."""
        self._find_schema = find_schema
        self._open_session = open_session
        self._credentials = credentials or NoCredentials()
        self.principal_of: Callable[[str], Principal | None] = _nobody
        """Whose a task is; `None` for one that is no open task. Tools are listed for no task at all."""

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Made once: it takes some 40 to 110 ms.
        return ssl.create_default_context()

    @asynccontextmanager
    async def lease_session(self, spec: Spec) -> AsyncIterator[Leased[Upstream]]:
        """A session with the server, for the block.

        Raises:
            SandboxError: the server is out of reach.
            ServerError: what answers there does not speak MCP.
        """
        async with self.lease(spec) as lease, self._open_session(lease.sandbox) as session:
            yield Leased(lease, session, was_warm=False)

    @asynccontextmanager
    async def lease(self, spec: Spec) -> AsyncIterator[Lease]:
        """The frames alone. `spec.image` is the URL; of its limits, frames, output and times count.

        Nothing is sent on entering: an unreachable server is told of by the first frame.
        """
        outbox, to_send = anyio.create_memory_object_stream[bytes](QUEUE)
        sandbox = StreamSandbox(f"remote-{secrets.token_hex(8)}", spec, _Outbox(outbox), _NothingToControl())
        try:
            async with outbox, to_send, anyio.create_task_group() as group:
                group.start_soon(self._hold, sandbox, to_send)
                try:
                    yield Lease(sandbox, workspace_is_new=False)
                finally:
                    with anyio.CancelScope(shield=True):
                        await sandbox.close()
                    group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            # The task group wraps what the block raised.
            raise sole_error(errors) or errors from errors

    async def _hold(self, sandbox: StreamSandbox, to_send: MemoryObjectReceiveStream[bytes]) -> None:
        """Keep the connection until it breaks or the lease is over; why it broke is told to the sandbox."""
        spec = sandbox.spec
        try:
            with anyio.fail_after(spec.limits.lease_seconds):
                async with self._connect(spec) as (incoming, outgoing):
                    await _pump(_Conversation(sandbox, self._find_schema), to_send, incoming, outgoing)
            sandbox.fail(_out_of_reach(spec, "it closed the connection"))
        except TimeoutError:
            seconds = spec.limits.lease_seconds
            sandbox.fail(LeaseExpiredError(f"The session with {spec.server!r} was open for {seconds:g} s, its limit."))
        except Exception as error:  # noqa: BLE001 - the SDK's groups and httpx's errors, told as one of ours
            sandbox.fail(_reason(spec, error))

    @asynccontextmanager
    async def _connect(self, spec: Spec) -> AsyncIterator[TransportStreams]:
        limit = spec.limits.frame_mib * 2**20
        principal = self._principal(spec)
        headers = await self._headers(spec, principal)
        login = self._credentials.login_for(spec.server, spec.image, principal.user if principal else None)

        async def check(response: httpx2.Response) -> None:
            """Statuses that end the session, whatever the body says: raised, they end the connection."""
            if response.status_code == HTTPStatus.NOT_FOUND and SESSION_HEADER in response.request.headers:
                raise _out_of_reach(spec, "it has ended the session")
            if login is not None and challenge_in(response) is not None:
                return  # the login's to answer
            if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                if not headers and is_for_tokens(response):
                    raise _wants_a_login(spec)
                shown = f"with what servers.{spec.server}.auth holds" if headers else "and no credentials are sent"
                shown = "to whoever is logged in there" if login is not None else shown
                raise _out_of_reach(spec, f"it refuses us (HTTP {response.status_code}), {shown}")

        async with (
            # No proxy, no password file of the environment: the manifest's URL is all there is to know.
            httpx2.AsyncClient(
                transport=BoundedTransport(httpx2.AsyncHTTPTransport(verify=self._tls), limit),
                timeout=httpx2.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS),
                trust_env=False,
                headers=headers,
                auth=login,
                event_hooks={"response": [check]},
            ) as http,
            streamable_http_client(spec.image, http_client=http, max_sse_event_size=limit) as streams,
        ):
            yield streams

    def _principal(self, spec: Spec) -> Principal | None:
        """Whose session it is; `None` only where it is the runtime that asks, which has a login to list tools with."""
        principal = self.principal_of(spec.task) if spec.task is not None else None
        if principal is None and spec.task is not None:
            raise RemoteError(f"Server {spec.server!r} is not asked: task {spec.task!r} has ended. Begin another task.")
        return principal

    async def _headers(self, spec: Spec, principal: Principal | None) -> dict[str, str]:
        headers = dict(await self._credentials.headers_for(spec.server, principal.user if principal else None))
        if headers and not is_safe_url(spec.image):
            raise _out_of_reach(spec, "credentials are sent by https only, or on loopback")
        return headers


def _nobody(_task: str) -> Principal | None:
    return None


class _Outbox:
    """A `Stdin` whose lines are taken by the connection."""

    def __init__(self, lines: MemoryObjectSendStream[bytes]) -> None:
        self._lines = lines

    def write_now(self, data: bytes) -> int:
        """None: the connection takes one line at a time."""
        del data
        return 0

    async def write(self, data: bytes) -> None:
        await self._lines.send(data)


class _NothingToControl:
    """A `Controls`: a server elsewhere is neither paused nor limited by us."""

    async def pause(self) -> None:
        """Nothing."""

    async def resume(self) -> None:
        """Nothing."""

    def limits_hit(self) -> tuple[LimitHit, ...]:
        return ()


class _Conversation:
    """Messages as they go over HTTP, frames as they go to the sandbox's users."""

    def __init__(self, sandbox: StreamSandbox, find_schema: FindSchema) -> None:
        self._sandbox = sandbox
        self._find_schema = find_schema
        self._negotiated = Negotiated()

    def outgoing(self, frame: bytes) -> SessionMessage:
        """With the headers that the era and the tool want."""
        message = jsonrpc_message_adapter.validate_json(frame, by_name=False)
        item = self._negotiated.stamp(SessionMessage(message))
        if isinstance(message, JSONRPCRequest) and message.method == "tools/call":
            headers = self._mirrored(message.params or {})
            if headers and isinstance(item.metadata, ClientMessageMetadata):
                item.metadata.headers = {**(item.metadata.headers or {}), **headers}
        return item

    def _mirrored(self, params: Mapping[str, Any]) -> dict[str, str]:
        schema = self._find_schema(self._sandbox.spec.server, str(params.get("name")))
        arguments = params.get("arguments")
        if schema is None or not isinstance(arguments, Mapping):
            return {}
        return mcp_param_headers(x_mcp_header_map(schema), arguments)

    async def incoming(self, item: SessionMessage | Exception) -> None:
        """Give it to the reader.

        Raises:
            OutputFloodError: a limit was passed.
        """
        if isinstance(item, Exception):
            return  # a line that is no message, as a sandboxed server's would be
        message = self._negotiated.watch(item).message
        await self._sandbox.feed_stdout(message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")


async def _pump(conversation: _Conversation, to_send: Any, incoming: Any, outgoing: Any) -> None:  # noqa: ANN401 - streams of two libraries
    """Both ways, until the server's end closes."""
    async with anyio.create_task_group() as group:

        async def send() -> None:
            async for line in to_send:
                await outgoing.send(conversation.outgoing(line))

        group.start_soon(send)
        async for item in incoming:
            await conversation.incoming(item)
        group.cancel_scope.cancel()


def _reason(spec: Spec, error: BaseException) -> SandboxError:
    """The first error of ours in a group, else what the network said."""
    while isinstance(error, BaseExceptionGroup):
        known, other = error.split((SandboxError, OutputFloodError))
        error = (known or other or error).exceptions[0]
    return error if isinstance(error, SandboxError) else _out_of_reach(spec, str(error) or type(error).__name__)


def _wants_a_login(spec: Spec) -> LoginNeededError:
    command = f"muxi-runtime servers login {spec.server}"
    text = f"Server {spec.server!r} at {spec.image} wants a login. Add it, then run `{command}`."
    return LoginNeededError(text, server=spec.server, command=command)


def _out_of_reach(spec: Spec, why: str) -> RemoteError:
    return RemoteError(f"Server {spec.server!r} at {spec.image} is out of reach: {why}. See whether it runs.")
